#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/event.h>

#include "binarize.h"
#include "worker.h"


typedef struct job_s {
    entry_t               *entry;       /* op is read-only, so safe to read */
    uint64_t               number;
    unsigned char         *data;
    size_t                 size;
    unsigned char         *result;
    size_t                 result_size;
    const char            *error;
    TAILQ_ENTRY(job_s)     link;
} job_t;


TAILQ_HEAD(job_queue_s, job_s);


static void *worker_main(void *data);
static void worker_on_done(evutil_socket_t fd, short what, void *data);
static void worker_deliver(job_t *job);
static void worker_free_queue(struct job_queue_s *queue);

static pthread_t            thread;
static pthread_mutex_t      mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t       wakeup = PTHREAD_COND_INITIALIZER;
/* under mutex */
static struct job_queue_s   todo = TAILQ_HEAD_INITIALIZER(todo);
static struct job_queue_s   done = TAILQ_HEAD_INITIALIZER(done);
static int                  stopping;
/* of the event loop */
static struct event        *notified;
static uint64_t             last_number;
static int                  notify_fd = -1;


int
worker_start(struct event_base *base)
{
    notify_fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (notify_fd == -1) {
        return -1;
    }

    notified = event_new(base, notify_fd, EV_READ|EV_PERSIST, worker_on_done,
                         NULL);
    event_add(notified, NULL);

    return pthread_create(&thread, NULL, worker_main, NULL) == 0 ? 0 : -1;
}


void
worker_stop(void)
{
    pthread_mutex_lock(&mutex);
    stopping = 1;
    pthread_cond_signal(&wakeup);
    pthread_mutex_unlock(&mutex);

    pthread_join(thread, NULL);

    worker_free_queue(&todo);
    worker_free_queue(&done);
    event_free(notified);
    close(notify_fd);
}


void
worker_post(entry_t *e, unsigned char *data, size_t size)
{
    job_t  *job;

    job = mem_zalloc(sizeof(*job));
    job->entry = e;
    job->number = ++last_number;
    job->data = data;
    job->size = size;

    e->task->job = job->number;

    pthread_mutex_lock(&mutex);
    TAILQ_INSERT_TAIL(&todo, job, link);
    pthread_cond_signal(&wakeup);
    pthread_mutex_unlock(&mutex);
}


static void *
worker_main(void *data)
{
    job_t     *job;
    uint64_t   one;

    (void) data;

    one = 1;
    pthread_mutex_lock(&mutex);

    while (!stopping) {
        job = TAILQ_FIRST(&todo);

        if (job == NULL) {
            pthread_cond_wait(&wakeup, &mutex);
            continue;
        }

        TAILQ_REMOVE(&todo, job, link);
        pthread_mutex_unlock(&mutex);

        job->result = binarize_file(job->entry->op, job->data, job->size,
                                    &job->result_size, &job->error);

        pthread_mutex_lock(&mutex);
        TAILQ_INSERT_TAIL(&done, job, link);

        if (write(notify_fd, &one, sizeof(one)) < 0) {
            /* the counter is full: the loop is awake anyway */
            continue;
        }
    }

    pthread_mutex_unlock(&mutex);

    return NULL;
}


static void
worker_on_done(evutil_socket_t fd, short what, void *data)
{
    job_t     *job;
    uint64_t   n;

    (void) what;
    (void) data;

    if (read((int) fd, &n, sizeof(n)) < 0) {
        return;
    }

    for ( ;; ) {
        pthread_mutex_lock(&mutex);
        job = TAILQ_FIRST(&done);

        if (job) {
            TAILQ_REMOVE(&done, job, link);
        }

        pthread_mutex_unlock(&mutex);

        if (job == NULL) {
            return;
        }

        worker_deliver(job);
    }
}


static void
worker_deliver(job_t *job)
{
    task_t  *t;

    t = job->entry->task;

    if (t && t->job == job->number) {
        t->job = 0;

        if (job->result) {
            t->result = blob_own(job->result, job->result_size);
            job->result = NULL;

        } else {
            t->last = STATE_ERROR;
            t->failure = mem_strdup(job->error);
        }
    }

    free(job->result);
    free(job->data);
    free(job);
}


static void
worker_free_queue(struct job_queue_s *queue)
{
    job_t  *job;

    while ((job = TAILQ_FIRST(queue)) != NULL) {
        TAILQ_REMOVE(queue, job, link);
        free(job->result);
        free(job->data);
        free(job);
    }
}
