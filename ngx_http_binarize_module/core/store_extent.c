
/* The blocks of an entry.  See store_private.h for what has an order. */


#include "store_private.h"


static void store_list_append(binarize_store_t *store,
    binarize_store_entry_t *entry, uint32_t block);
static binarize_store_extent_t *store_extent_last(
    const binarize_store_t *store, const binarize_store_entry_t *entry,
    uint32_t i);
static int store_extent_append(binarize_store_t *store,
    binarize_store_entry_t *entry, uint32_t first, uint32_t nblocks);
static binarize_store_list_t *store_list(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint32_t i);
static size_t store_pieces(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint64_t offset, uint64_t size,
    binarize_span_t *pieces, size_t npieces);


/* the i-th block of extents */

static binarize_store_list_t *
store_list(const binarize_store_t *store, const binarize_store_entry_t *entry,
    uint32_t i)
{
    binarize_store_list_t  *list;

    list = binarize_store_block(store, entry->list);

    while (i--) {
        list = binarize_store_block(store, list->next);
    }

    return list;
}


binarize_store_extent_t *
binarize_store_extent(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint32_t i)
{
    if (i < BINARIZE_STORE_EXTENTS) {
        return (binarize_store_extent_t *) &entry->extents[i];
    }

    i -= BINARIZE_STORE_EXTENTS;

    return &store_list(store, entry, i / BINARIZE_STORE_LIST_EXTENTS)
            ->extents[i % BINARIZE_STORE_LIST_EXTENTS];
}


static void
store_list_append(binarize_store_t *store, binarize_store_entry_t *entry,
    uint32_t block)
{
    binarize_store_list_t  *first, *last, *list;

    list = binarize_store_block(store, block);

    if (entry->nextents == BINARIZE_STORE_EXTENTS) {
        entry->list = block;
        list->prev = block;
        return;
    }

    first = binarize_store_block(store, entry->list);
    last = binarize_store_block(store, first->prev);

    last->next = block;
    list->prev = first->prev;
    first->prev = block;
}


/* the i-th extent, which is in the last block of extents */

static binarize_store_extent_t *
store_extent_last(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint32_t i)
{
    binarize_store_list_t  *list;

    if (i < BINARIZE_STORE_EXTENTS) {
        return (binarize_store_extent_t *) &entry->extents[i];
    }

    list = binarize_store_block(store, entry->list);
    list = binarize_store_block(store, list->prev);

    return &list->extents[(i - BINARIZE_STORE_EXTENTS)
                          % BINARIZE_STORE_LIST_EXTENTS];
}


uint32_t
binarize_store_ndata(const binarize_store_entry_t *entry)
{
    return entry->nblocks - 1 - binarize_store_nlists(entry->nextents);
}


static int
store_extent_append(binarize_store_t *store, binarize_store_entry_t *entry,
    uint32_t first, uint32_t nblocks)
{
    uint32_t                  list, n, one;
    binarize_store_extent_t  *extent;

    n = entry->nextents;

    if (binarize_store_nlists(n + 1) > binarize_store_nlists(n)) {
        one = 1;
        list = binarize_store_take(store, &one);

        if (list == 0) {
            return BINARIZE_FULL;
        }

        store_list_append(store, entry, list);
        entry->nblocks++;
    }

    extent = store_extent_last(store, entry, n);
    extent->first = first;
    extent->nblocks = nblocks;

    binarize_store_commit();

    entry->nextents = n + 1;

    return BINARIZE_OK;
}


int
binarize_store_attach(binarize_store_t *store, binarize_store_entry_t *entry,
    uint32_t first, uint32_t nblocks)
{
    binarize_store_extent_t  *extent;

    if (entry->nextents) {
        extent = store_extent_last(store, entry, entry->nextents - 1);

        if (extent->first + extent->nblocks == first) {
            extent->nblocks += nblocks;
            entry->nblocks += nblocks;
            return BINARIZE_OK;
        }
    }

    if (store_extent_append(store, entry, first, nblocks) != BINARIZE_OK) {
        return BINARIZE_FULL;
    }

    entry->nblocks += nblocks;

    return BINARIZE_OK;
}


uint32_t
binarize_store_extend(binarize_store_t *store, binarize_store_entry_t *entry,
    uint32_t nblocks)
{
    binarize_store_extent_t  *extent;

    if (entry->nextents == 0) {
        return 0;
    }

    extent = store_extent_last(store, entry, entry->nextents - 1);

    nblocks = binarize_store_take_at(store, extent->first + extent->nblocks,
                                     nblocks);
    extent->nblocks += nblocks;
    entry->nblocks += nblocks;

    return nblocks;
}


int
binarize_store_add(binarize_store_t *store, binarize_store_entry_t *entry,
    uint32_t nblocks)
{
    uint32_t  first, n;

    while (nblocks) {
        n = nblocks;
        first = binarize_store_take(store, &n);

        if (first == 0) {
            return BINARIZE_FULL;
        }

        if (binarize_store_attach(store, entry, first, n) != BINARIZE_OK) {
            binarize_store_give(store, first, n);
            return BINARIZE_FULL;
        }

        nblocks -= n;
    }

    return BINARIZE_OK;
}


void
binarize_store_trim(binarize_store_t *store, binarize_store_entry_t *entry,
    uint32_t ndata)
{
    uint32_t                  first, list, n, rest;
    binarize_store_list_t    *last, *lists;
    binarize_store_extent_t  *extent;

    rest = binarize_store_ndata(entry) - ndata;

    while (rest) {
        n = entry->nextents;
        extent = store_extent_last(store, entry, n - 1);
        list = 0;

        if (extent->nblocks > rest) {
            extent->nblocks -= rest;
            first = extent->first + extent->nblocks;
            n = rest;

        } else {
            first = extent->first;

            if (binarize_store_nlists(n) > binarize_store_nlists(n - 1)) {
                lists = binarize_store_block(store, entry->list);
                list = lists->prev;
                last = binarize_store_block(store, list);
                lists->prev = last->prev;
                entry->nblocks--;
            }

            entry->nextents = n - 1;
            n = extent->nblocks;
        }

        binarize_store_commit();

        entry->nblocks -= n;
        rest -= n;
        binarize_store_give(store, first, n);

        if (list) {
            binarize_store_give(store, list, 1);
        }
    }
}


void
binarize_store_dissolve(binarize_store_t *store,
    binarize_store_entry_t *entry)
{
    uint32_t                 block, i, list, n, next, nlists;
    binarize_store_list_t   *l;
    binarize_store_extent_t  *extent, *extents;

    /* the head and the lists are read until the last extent is given back */

    n = entry->nextents;
    nlists = binarize_store_nlists(n);
    extents = entry->extents;
    list = entry->list;
    next = 0;

    for (i = 0; i < n && i < BINARIZE_STORE_EXTENTS; i++) {
        extent = &extents[i];
        binarize_store_give(store, extent->first, extent->nblocks);
    }

    while (nlists--) {
        l = binarize_store_block(store, list);
        next = l->next;

        for (n = 0; n < BINARIZE_STORE_LIST_EXTENTS && i < entry->nextents;
             n++, i++)
        {
            extent = &l->extents[n];
            binarize_store_give(store, extent->first, extent->nblocks);
        }

        binarize_store_give(store, list, 1);
        list = next;
    }

    block = binarize_store_index(store, entry);

    binarize_store_give(store, block, 1);
}


static size_t
store_pieces(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint64_t offset, uint64_t size,
    binarize_span_t *pieces, size_t npieces)
{
    size_t                    n;
    uint32_t                  i;
    uint64_t                  room;
    const unsigned char      *data;
    binarize_store_list_t    *list;
    binarize_store_extent_t  *extent;

    n = 0;
    list = NULL;
    extent = (binarize_store_extent_t *) entry->extents;

    for (i = 0; i < entry->nextents && size; i++, extent++) {

        if (i >= BINARIZE_STORE_EXTENTS
            && (i - BINARIZE_STORE_EXTENTS) % BINARIZE_STORE_LIST_EXTENTS == 0)
        {
            list = binarize_store_block(store,
                                        list ? list->next : entry->list);
            extent = list->extents;
        }

        room = (uint64_t) extent->nblocks * BINARIZE_STORE_BLOCK_SIZE;

        if (offset >= room) {
            offset -= room;
            continue;
        }

        data = binarize_store_block(store, extent->first);
        room -= offset;

        if (room > size) {
            room = size;
        }

        if (n < npieces) {
            pieces[n].data = data + offset;
            pieces[n].size = room;
        }

        n++;
        size -= room;
        offset = 0;
    }

    return n;
}


size_t
binarize_store_payload(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint64_t offset, uint64_t size,
    binarize_span_t *pieces, size_t npieces)
{
    if (offset >= entry->payload_size) {
        return 0;
    }

    if (size > entry->payload_size - offset) {
        size = entry->payload_size - offset;
    }

    return store_pieces(store, entry, offset, size, pieces, npieces);
}


size_t
binarize_store_doc(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint64_t offset, uint64_t size,
    binarize_span_t *pieces, size_t npieces)
{
    if (offset >= entry->doc_size || size == 0) {
        return 0;
    }

    if (size > entry->doc_size - offset) {
        size = entry->doc_size - offset;
    }

    if (entry->doc_size > BINARIZE_STORE_DOC_SIZE) {
        return store_pieces(store, entry, entry->payload_size + offset, size,
                            pieces, npieces);
    }

    if (npieces) {
        pieces[0].data = entry->doc + offset;
        pieces[0].size = size;
    }

    return 1;
}


unsigned char *
binarize_store_room(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint64_t offset, size_t *size)
{
    binarize_span_t  piece;

    if (store_pieces(store, entry, offset, UINT64_MAX, &piece, 1) == 0) {
        *size = 0;
        return NULL;
    }

    *size = piece.size;

    return (unsigned char *) piece.data;
}


void
binarize_store_write_doc(const binarize_store_t *store,
    binarize_store_entry_t *entry, const unsigned char *doc)
{
    size_t          done, size;
    unsigned char  *room;

    if (entry->doc_size <= BINARIZE_STORE_DOC_SIZE) {
        memcpy(entry->doc, doc, entry->doc_size);
        return;
    }

    for (done = 0; done < entry->doc_size; done += size) {
        room = binarize_store_room(store, entry, entry->payload_size + done,
                                   &size);

        if (size > entry->doc_size - done) {
            size = entry->doc_size - done;
        }

        memcpy(room, doc + done, size);
    }
}
