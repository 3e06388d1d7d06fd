package logparse

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// table finds transactions by key: open addressing with linear probing, at
// most three quarters full. Unlike a map it takes the key from the transaction,
// whose memory is used again, so that a message which comes and goes allocates
// nothing.
type table struct {
	seed  uint64
	slots []slot // a power of two
	n     int
}

// slot has the hash beside the transaction, so that a probe reads no memory
// but the table's until it has found it.
type slot struct {
	hash uint64
	t    *transaction // nil = free
}

func newTable() table {
	return table{seed: maphash.Bytes(maphash.MakeSeed(), nil), slots: make([]slot, 256)}
}

// hash is that of what stands up to the first NUL, which is mostly the gateway,
// joined with that of what follows, which is mostly the gateway's own id.
func (t *table) hash(key []byte) uint64 {
	n := bytes.IndexByte(key, 0) + 1
	return joinSums(sum(t.seed, key[:n]), sum(t.seed, key[n:]))
}

const k0, k1 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db

// sum mixes eight bytes at a time by folded multiplication, as wyhash does;
// the last eight overlap those before. Keys are some twenty bytes, for which a
// call of maphash costs three times as much; the seed keeps a log from
// choosing its collisions.
func sum(seed uint64, b []byte) uint64 {
	h := seed ^ uint64(len(b))*k1
	var tail uint64
	if len(b) >= 8 {
		tail = binary.LittleEndian.Uint64(b[len(b)-8:])
		for ; len(b) > 8; b = b[8:] {
			h = fold(h^k0, binary.LittleEndian.Uint64(b)^k1)
		}
	} else {
		for _, c := range b {
			tail = tail<<8 | uint64(c)
		}
	}
	return fold(h^k0, tail^k1)
}

func joinSums(a, b uint64) uint64 { return fold(a^k0, b^k1) }

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// has reports whether a transaction whose key has this hash is in the table.
func (t *table) has(hash uint64) bool {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; t.slots[i].t != nil; i = (i + 1) & mask {
		if t.slots[i].hash == hash {
			return true
		}
	}
	return false
}

// find returns the transaction with key, whose hash is known; nil when there is
// none.
func (t *table) find(key []byte, hash uint64) *transaction {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.t == nil || s.hash == hash && string(s.t.key) == string(key) {
			return s.t
		}
	}
}

// put adds a transaction whose key is not in the table; its hash is set.
func (t *table) put(x *transaction) {
	t.n++
	if t.n*4 > len(t.slots)*3 {
		old := t.slots
		t.slots = make([]slot, 2*len(old))
		for _, o := range old {
			if o.t != nil {
				t.insert(o.t)
			}
		}
	}
	t.insert(x)
}

func (t *table) insert(x *transaction) {
	mask := uint64(len(t.slots) - 1)
	i := x.hash & mask
	for t.slots[i].t != nil {
		i = (i + 1) & mask
	}
	t.slots[i] = slot{x.hash, x}
}

// delete removes a transaction that is in the table, and moves those behind it
// back that probed past its slot.
func (t *table) delete(x *transaction) {
	mask := uint64(len(t.slots) - 1)
	i := x.hash & mask
	for t.slots[i].t != x {
		i = (i + 1) & mask
	}
	t.n--
	for j := i; ; {
		j = (j + 1) & mask
		next := t.slots[j]
		if next.t == nil {
			break
		}
		if home := next.hash & mask; (j-home)&mask >= (j-i)&mask {
			t.slots[i] = next
			i = j
		}
	}
	t.slots[i] = slot{}
}
