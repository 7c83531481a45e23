/*
 * Makes a page as a careless scan shows it: print on yellowish paper,
 * uneven light with a shadow, grain, a slight skew. The same seed gives the
 * same page.
 *
 *     make-sample FILE.png|FILE.jpg [SEED]
 */

#include <leptonica/allheaders.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define PAGE_WIDTH   1000
#define PAGE_HEIGHT  1414
#define PAGE_MARGIN  90
#define PAGE_SKEW    0.021f     /* radians, about 1.2 degrees */


static PIX *page_print(void);
static l_int32 page_text(PIX *page, L_BMF *font, const char *text, l_int32 y,
    l_int32 left, l_int32 width);
static void page_heading(PIX *page, L_BMF *font, const char *text);
static void page_table(PIX *page, L_BMF *font, l_int32 y);
static void page_stamp(PIX *page, l_int32 x, l_int32 y);
static PIX *page_scan(PIX *page, uint64_t seed);
static double page_light(double x, double y);
static int page_clamp(double v);


static const char  text_first[] =
    "Binarization divides the picture of a page into two parts: what was "
    "printed or written, and the paper it stands on. A single threshold for "
    "the whole page would be easy, but lamps, folds and the shadow of the "
    "hand that holds the camera make the paper in one corner darker than the "
    "ink in another. So the threshold has to follow the light.";

static const char  text_second[] =
    "A method that is good for scans looks at the neighbourhood of each "
    "point: its mean brightness, and how much the brightness varies. Where "
    "it hardly varies there is only paper, whatever its shade. Where it does "
    "there are letters, and everything clearly darker than the mean belongs "
    "to them. Dots, commas and thin strokes must survive; the grain of the "
    "paper must not: 0.5 is not 5, and 1,250.00 is not 125000.";

static const char  text_third[] =
    "This page was never on paper. A program drew it, gave it a lamp at the "
    "upper left, the shadow of a hand at the lower right, a fold across the "
    "middle and a little grain, and put it on the glass slightly askew. The "
    "table below has grey rows among its black ones, as a ribbon that wears "
    "out leaves them; the stamp is pale. All of it should be black at the "
    "end, and nothing else.";


int
main(int argc, char **argv)
{
    int          rc;
    PIX         *page, *scan;
    uint64_t     seed;
    const char  *dot;

    dot = argc > 1 ? strrchr(argv[1], '.') : NULL;
    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    if (argc < 2 || argc > 3 || dot == NULL
        || (strcmp(dot, ".png") != 0 && strcmp(dot, ".jpg") != 0))
    {
        fprintf(stderr, "usage: make-sample FILE.png|FILE.jpg [SEED]\n");
        return 2;
    }

    setMsgSeverity(L_SEVERITY_ERROR);

    page = page_print();
    scan = page ? page_scan(page, seed * 0x9e3779b97f4a7c15ULL | 1) : NULL;

    if (scan == NULL) {
        return 1;
    }

    rc = dot[1] == 'p' ? pixWrite(argv[1], scan, IFF_PNG)
                       : pixWriteJpeg(argv[1], scan, 85, 0);
    pixDestroy(&page);
    pixDestroy(&scan);

    return rc != 0;
}


/* Black on white, 8 bits of grey. */
static PIX *
page_print(void)
{
    PIX      *page;
    L_BMF    *large, *middle, *small;
    l_int32   y, half;

    page = pixCreate(PAGE_WIDTH, PAGE_HEIGHT, 8);
    large = bmfCreate(NULL, 18);
    middle = bmfCreate(NULL, 8);
    small = bmfCreate(NULL, 6);

    if (page == NULL || large == NULL || middle == NULL || small == NULL) {
        return NULL;
    }

    pixSetAll(page);
    half = (PAGE_WIDTH - 2 * PAGE_MARGIN - 40) / 2;

    page_heading(page, large, "The page and its light");

    y = page_text(page, middle, text_first, 265, PAGE_MARGIN,
                  PAGE_WIDTH - 2 * PAGE_MARGIN);
    page_text(page, small, text_third, y + 40, PAGE_MARGIN + half + 40,
              half);
    y = page_text(page, small, text_second, y + 40, PAGE_MARGIN, half);
    page_table(page, middle, y + 40);
    page_stamp(page, PAGE_WIDTH - 210, PAGE_HEIGHT - 190);

    bmfDestroy(&large);
    bmfDestroy(&middle);
    bmfDestroy(&small);

    return page;
}


/* Returns where the text ends; y is its first baseline. */
static l_int32
page_text(PIX *page, L_BMF *font, const char *text, l_int32 y, l_int32 left,
    l_int32 width)
{
    SARRAY   *lines;
    l_int32   height, overflow;

    pixSetTextblock(page, font, text, 20, left, y, width, 0, &overflow);

    lines = bmfGetLineStrings(font, text, width, 0, &height);
    sarrayDestroy(&lines);

    return y + height;
}


static void
page_heading(PIX *page, L_BMF *font, const char *text)
{
    l_int32  overflow;

    pixSetTextline(page, font, text, 20, PAGE_MARGIN, 170, NULL, &overflow);
    pixRenderLine(page, PAGE_MARGIN, 205, PAGE_WIDTH - PAGE_MARGIN, 205, 3,
                  L_CLEAR_PIXELS);
}


static void
page_table(PIX *page, L_BMF *font, l_int32 y)
{
    char      cell[32];
    l_int32   row, column, x, overflow;

    static const char  *const heads[] = { "Tile", "Mean", "Deviation",
                                          "Threshold" };

    for (row = 0; row < 6; row++) {

        for (column = 0; column < 4; column++) {
            x = PAGE_MARGIN + 20 + column * 180;

            snprintf(cell, sizeof(cell), column ? "%d.%02d" : "%d",
                     row * (column ? 23 + column : 1),
                     (row * 37 + column * 11) % 100);
            pixSetTextline(page, font, row ? cell : heads[column],
                           row % 3 == 2 ? 90 : 30, x, y + row * 46 + 32, NULL,
                           &overflow);
        }

        pixRenderLine(page, PAGE_MARGIN, y + row * 46, PAGE_MARGIN + 740,
                      y + row * 46, row < 2 ? 2 : 1, L_CLEAR_PIXELS);
    }

    pixRenderLine(page, PAGE_MARGIN, y + row * 46, PAGE_MARGIN + 740,
                  y + row * 46, 2, L_CLEAR_PIXELS);
}


/* A ring with a star of lines, pale as stamps are. */
static void
page_stamp(PIX *page, l_int32 x, l_int32 y)
{
    double   angle, r;
    l_int32  i, px, py;

    for (i = 0; i < 2400; i++) {
        angle = i * M_PI / 1200;

        for (r = 84; r < 90; r += 0.5) {
            pixSetPixel(page, x + (l_int32) (r * cos(angle)),
                        y + (l_int32) (r * sin(angle)), 95);
        }

        r = 20 + 50 * fabs(cos(angle * 6));
        px = x + (l_int32) (r * cos(angle));
        py = y + (l_int32) (r * sin(angle));
        pixSetPixel(page, px, py, 95);
        pixSetPixel(page, px + 1, py, 95);
        pixSetPixel(page, px, py + 1, 95);
    }
}


static PIX *
page_scan(PIX *page, uint64_t seed)
{
    PIX            *soft, *skewed, *scan;
    double          light, ink, grain;
    l_int32         x, y;
    l_uint32        v;
    unsigned char   noise[4];

    soft = pixBlockconv(page, 1, 1);
    skewed = pixRotate(soft, PAGE_SKEW, L_ROTATE_AREA_MAP,
                       L_BRING_IN_WHITE, 0, 0);
    scan = pixCreate(PAGE_WIDTH, PAGE_HEIGHT, 32);

    for (y = 0; skewed && scan && y < PAGE_HEIGHT; y++) {
        for (x = 0; x < PAGE_WIDTH; x++) {
            pixGetPixel(skewed, x, y, &v);
            noise_bytes(&seed, noise, sizeof(noise));

            light = page_light((double) x / PAGE_WIDTH,
                               (double) y / PAGE_HEIGHT);
            ink = 0.12 + 0.88 * v / 255;
            grain = (noise[0] + noise[1] + noise[2] + noise[3] - 510) / 45.0;
            light *= ink;

            pixSetRGBPixel(scan, x, y, page_clamp(246 * light + grain),
                           page_clamp(234 * light + grain),
                           page_clamp(205 * light + grain * 0.9));
        }
    }

    pixDestroy(&soft);
    pixDestroy(&skewed);

    return scan;
}


/* A lamp at the upper left, a hand's shadow at the lower right, a fold. */
static double
page_light(double x, double y)
{
    double  lamp, shadow, fold;

    lamp = 1 - 0.28 * hypot(x - 0.25, y - 0.2);
    shadow = 1 - 0.38 / (1 + exp(-14 * (x * 0.6 + y - 1.15)));
    fold = 1 - 0.13 * exp(-pow((y - 0.52) / 0.012, 2));

    return lamp * shadow * fold;
}


static int
page_clamp(double v)
{
    return v < 0 ? 0 : v > 255 ? 255 : (int) (v + 0.5);
}
