package logparse

import (
	"bytes"
	"hash/maphash"
)

// table finds transactions by key: open addressing with linear probing, a
// quarter to a half full. Unlike a map it takes the key from the transaction,
// whose memory is used again, so that a message which comes and goes allocates
// nothing.
type table struct {
	seed  maphash.Seed
	slots []*transaction // a power of two
	n     int
}

func newTable() table {
	return table{seed: maphash.MakeSeed(), slots: make([]*transaction, 256)}
}

func (t *table) get(key []byte) *transaction {
	hash := maphash.Bytes(t.seed, key)
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		x := t.slots[i]
		if x == nil || x.hash == hash && bytes.Equal(x.key, key) {
			return x
		}
	}
}

// put adds a transaction whose key is not in the table.
func (t *table) put(x *transaction) {
	x.hash = maphash.Bytes(t.seed, x.key)
	t.n++
	if t.n*2 > len(t.slots) {
		old := t.slots
		t.slots = make([]*transaction, 2*len(old))
		for _, o := range old {
			if o != nil {
				t.insert(o)
			}
		}
	}
	t.insert(x)
}

func (t *table) insert(x *transaction) {
	mask := uint64(len(t.slots) - 1)
	i := x.hash & mask
	for t.slots[i] != nil {
		i = (i + 1) & mask
	}
	t.slots[i] = x
}

// delete removes a transaction that is in the table, and moves those behind it
// back that probed past its slot.
func (t *table) delete(x *transaction) {
	mask := uint64(len(t.slots) - 1)
	i := x.hash & mask
	for t.slots[i] != x {
		i = (i + 1) & mask
	}
	t.n--
	for j := i; ; {
		j = (j + 1) & mask
		next := t.slots[j]
		if next == nil {
			break
		}
		if home := next.hash & mask; (j-home)&mask >= (j-i)&mask {
			t.slots[i] = next
			i = j
		}
	}
	t.slots[i] = nil
}
