/*
 * The browser has put a picture or a placeholder into each <img> already.
 * Where it was a placeholder, this asks for the same URL again, at the pace
 * the gateway says by Retry-After, and shows the picture when it has landed.
 */

(function () {
    'use strict';

    var TRIES_MAX = 60;
    var DELAY_MAX_S = 30;

    var figures = Array.prototype.slice.call(
        document.querySelectorAll('main figure'));

    var words = {
        ready: 'ready',
        pending: 'not ready yet',
        missing: 'missing',
        failed: 'failed'
    };


    function tell(figure, state, more) {
        figure.dataset.state = state;
        figure.querySelector('.state').textContent =
            words[state] + (more ? ', ' + more : '');

        var n = figures.filter(function (f) {
            return f.dataset.state === 'ready';
        }).length;

        document.getElementById('summary').textContent =
            n + ' of ' + figures.length + ' pictures are ready.';
    }


    /* seconds; a little later for each, so that they do not come at once */

    function delay(answer, tries) {
        var said = parseInt(answer.headers.get('Retry-After'), 10);
        var least = Math.min(Math.pow(1.3, tries), DELAY_MAX_S);

        return Math.max(said > 0 ? said : 1, least) * (1 + Math.random() / 10);
    }


    function visible() {
        return new Promise(function (resolve) {
            function look() {
                if (!document.hidden) {
                    document.removeEventListener('visibilitychange', look);
                    resolve();
                }
            }

            document.addEventListener('visibilitychange', look);
            look();
        });
    }


    function later(seconds) {
        return new Promise(function (resolve) {
            setTimeout(resolve, seconds * 1000);
        }).then(visible);
    }


    /* some browsers tell with which status an <img> was answered */

    function loaded(url) {
        return performance.getEntriesByName(url).some(function (entry) {
            return entry.responseStatus === 200;
        });
    }


    function size(img) {
        return img.naturalWidth + ' \u00d7 ' + img.naturalHeight;
    }


    /* in place of the placeholder, without another request */

    async function show(figure, img, answer) {
        var url = URL.createObjectURL(await answer.blob());

        img.src = url;
        await img.decode();
        URL.revokeObjectURL(url);
        tell(figure, 'ready', size(img));
    }


    async function watch(figure) {
        var img = figure.querySelector('img');
        var url = img.src;

        await img.decode().catch(function () { });

        if (loaded(url)) {
            tell(figure, 'ready', size(img));
            return;
        }

        for (var tries = 0; tries < TRIES_MAX; tries++) {
            var answer = await fetch(url);

            if (answer.status === 200) {
                await show(figure, img, answer);
                return;
            }

            if (answer.status === 404) {
                tell(figure, 'missing');
                return;
            }

            if (answer.status !== 202 && answer.status !== 503) {
                tell(figure, 'failed');
                return;
            }

            tell(figure, 'pending');
            await later(delay(answer, tries));
        }

        tell(figure, 'failed', 'it took too long');
    }


    figures.forEach(function (figure) {
        watch(figure).catch(function () {
            tell(figure, 'failed');
        });
    });
}());
