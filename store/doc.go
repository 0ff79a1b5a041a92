// Package store keeps what a node must not forget in one SQLite file: events,
// tombstones of what was once known, what is owed to carriers, delivery
// histories, and small values of other parts.
//
// # How it writes
//
// Machines here run on SD cards, so the store writes little and rarely. Every
// change is an operation. Operations gather in memory and go to the disk
// together, as one row of the table journal: within 5 s, or at once when
// somebody waits, with an fsync before the answer (WAL, synchronous=FULL). A
// commit so costs one page, whatever it changes.
//
// In memory the same operations form a layer: a map of all that changed. Reads
// ask the layers first, so that what Save has taken is seen before it is on
// disk, and the tables then. When a layer has grown to a few thousand
// operations it is frozen and folded into the tables in the order of their
// keys, then dropped from the journal:
//
//	Save ──▶ active layer ──▶ frozen layer ──▶ tables
//	     ╰─▶ batch ──commit──▶ journal ────────▶ (dropped)
//
// After a crash the journal is read into a layer again. A fold that was cut off
// is repeated; each of its steps may be done twice. So its transactions do not
// wait for the disk (synchronous=NORMAL): the write-ahead log keeps their order,
// and none of them counts without those before it. After a sync that failed the
// log may have a gap, so it is copied into the file before anything is answered.
//
// # The file
//
// Table journal(n, ops): a batch is
//
//	version 1 byte     1
//	ops                one after the other, see below
//	sum     4 bytes    CRC-32C of all before, big endian
//
// An op begins with a byte that says what it is. Numbers are uvarints in their
// shortest form, texts a uvarint length and bytes, times 8 bytes big endian of
// nanoseconds since 1970:
//
//	1 keep    seq, length, record
//	2 bury    id [32], seq, created_at uint32, reason byte, fresh byte, time
//	3 owe     id [32], seq, carrier, target, priority byte, attempts
//	4 settle  the same
//	5 note    seq, line number, time, carrier, target, state
//	6 put     shelf, key, value
//	7 drop    shelf, key
//
// A record, in an op and in event(seq, body):
//
//	flags    1 byte    mesh.Flags
//	received 8 bytes   time
//	carrier  text
//	topic    text
//	event    the rest, see mesh.Event.AppendBinary
//
// Table place(created, id, seq, gone, at) has every id once known, in the order
// of reconciliation. Table term(term, created, seq) is the index: rows for the
// id, author, kind, topic, every tag with a name of one letter or "proxy", the
// address of replaceable events and the targets of deletions, each under 64
// bits of a hash. Rows it leads to are checked against the filter itself. Of what is
// new, a Bloom filter of all terms says that no row is to be sought; it is made
// after the first fold, in memory alone.
package store
