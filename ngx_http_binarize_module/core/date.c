
#include <string.h>

#include "date.h"


#define DATE_LAST  253402300799LL    /* of 9999 */


static void date_two(unsigned char *p, unsigned n);


void
binarize_date(int64_t seconds, unsigned char text[BINARIZE_DATE_SIZE])
{
    unsigned  days, second, era_day, day, month, year;

    static const char  names[] = "ThuFriSatSunMonTueWed";
    static const char  months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";

    if (seconds < 0) {
        seconds = 0;
    }

    if (seconds > DATE_LAST) {
        seconds = DATE_LAST;
    }

    days = seconds / 86400;
    second = seconds % 86400;

    memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", BINARIZE_DATE_SIZE);
    memcpy(text, &names[days % 7 * 3], 3);

    /*
     * Of years that begin with March, so that a leap day is their last, in an
     * era of 400 years; from Wednesday, 1 March of the year 0 on.
     */

    days += 719468;

    era_day = days % 146097;
    year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096)
           / 365;
    day = era_day - (365 * year + year / 4 - year / 100);
    month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5;

    year += days / 146097 * 400 + (month >= 10);

    date_two(text + 5, day + 1);
    memcpy(text + 8, &months[month * 3], 3);
    date_two(text + 12, year / 100);
    date_two(text + 14, year % 100);

    date_two(text + 17, second / 3600);
    date_two(text + 20, second / 60 % 60);
    date_two(text + 23, second % 60);
}


static void
date_two(unsigned char *p, unsigned n)
{
    p[0] = '0' + n / 10;
    p[1] = '0' + n % 10;
}
