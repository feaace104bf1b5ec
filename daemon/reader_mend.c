/*
 * Messages that are repaired while they come from the source (mend.h): measured first, then sent.
 */
#include <stdio.h>

#include "err.h"
#include "reader_p.h"

/* A message that is repaired is first measured. Then *size is what it will have. */
int reader_mend_begin(struct reader *r, struct reader_job *j, uint64_t *size)
{
	char words[200], text[800];

	r->mend = j->single ? mend_find(j->folder->mend, j->lo) : NULL;
	if (r->mend == NULL)
		return 0;
	repair_begin(&r->repair, r->mend->kinds);
	if (!r->mend->measured)
		return 0;
	*size = r->mend->size;
	repair_words(r->mend->done, words, sizeof(words));
	snprintf(text, sizeof(text), "%s; as it was the target refused it: %s", words, r->mend->why);
	losses_forget_kind(&j->folder->losses, j->lo, SKIP_REPAIRED);
	return losses_note(&j->folder->losses, j->lo, SKIP_REPAIRED, "bytes", text);
}

bool reader_is_measuring(const struct reader *r)
{
	return r->mend != NULL && !r->mend->measured;
}

/* What has become of some bytes goes on its way, or is only counted. */
static int mend_pass_on(struct lane *l)
{
	struct reader *r = &l->reader;
	size_t n = r->mended.n;

	if (reader_is_measuring(r)) {
		r->mend->size += n;
		return 0;
	}
	if (n == 0 || !relay_is_open(&l->relay))
		return 0;
	/* The source has given another message than the time before. */
	return n > relay_tail(&l->relay)->missing ? PROTO_ERR_SYNTAX : relay_bytes(&l->relay, buf_span(&r->mended));
}

int reader_mend_data(struct lane *l, struct span bytes)
{
	int err;

	buf_reset(&l->reader.mended);
	err = repair_add(&l->reader.repair, bytes, &l->reader.mended);
	return err == 0 ? mend_pass_on(l) : err;
}

int reader_mend_end(struct lane *l)
{
	int err;

	buf_reset(&l->reader.mended);
	err = repair_end(&l->reader.repair, &l->reader.mended);
	if (err == 0)
		err = mend_pass_on(l);
	return err == 0 && !reader_is_measuring(&l->reader) && relay_is_open(&l->relay) && relay_tail(&l->relay)->missing != 0 ? PROTO_ERR_SYNTAX : err;
}

/* It is known how long it will be: it is fetched once more, and sent; or there was nothing to repair. */
int reader_mend_measured(struct lane *l, struct reader_job *j)
{
	struct mend *m = l->reader.mend;
	int err = reader_mend_end(l);

	m->measured = true;
	m->done = l->reader.repair.done;
	if (err == 0 && m->done != 0)
		return pass_redo(j->folder, m->uid);
	if (err == 0)
		pass_leave_out_message(l->pass, j->folder, m->uid, m->why);
	return err;
}
