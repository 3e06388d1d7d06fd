package exception

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"mailwhy/engine/chain"
)

// entryKind names what one line of the journal records.
type entryKind string

const (
	entryCreate     entryKind = "create"
	entryRevoke     entryKind = "revoke"
	entryExtend     entryKind = "extend"
	entryApprove    entryKind = "approve"
	entryConfirm    entryKind = "confirm"
	entryPolicyEdit entryKind = "policy_edit"
	entryPublish    entryKind = "publish"
)

// entry is one line of the journal without its own hash, which stands last in
// the line and covers every byte before it.
type entry struct {
	Number int       `json:"n"` // from 1, without gaps
	Time   time.Time `json:"time"`
	Kind   entryKind `json:"entry"`
	Actor  Actor     `json:"actor,omitzero"`

	Exception *Exception `json:"exception,omitempty"` // create
	Effect    *effect    `json:"effect,omitempty"`    // create

	ID     int       `json:"id,omitempty"`     // the exception revoked, extended, approved, confirmed or published
	Until  time.Time `json:"until,omitzero"`   // extend: the new expiry
	Reason string    `json:"reason,omitempty"` // revoke, extend

	Policy *PolicyEdit `json:"policy,omitempty"` // policy_edit

	Receipts []Receipt `json:"receipts,omitempty"` // publish

	Prev string `json:"prev"` // hash of the entry before; chain.Genesis for the first
}

// encode gives the line with its line end, and the entry's hash.
func (e entry) encode() (line []byte, hash string, err error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a scope reads sender>recipient in the journal too
	if err := enc.Encode(e); err != nil {
		return nil, "", fmt.Errorf("encode journal entry %d: %w", e.Number, err)
	}
	line, hash = chain.Seal(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return line, hash, nil
}

// decodeEntry reads one line without its line end and checks its own hash, not
// its place in the chain.
func decodeEntry(line []byte) (e entry, hash string, err error) {
	if hash, err = chain.Check(line); err != nil {
		return entry{}, "", err
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&e); err != nil {
		return entry{}, "", fmt.Errorf("it is no journal entry: %w", err)
	}
	return e, hash, nil
}

// follows checks an entry's place behind the entry with that number and hash.
func (e entry) follows(number int, hash string) error {
	switch {
	case e.Number == number+1 && e.Prev == hash:
		return nil
	case e.Number > number+1:
		return fmt.Errorf("it carries number %d: %s missing before it", e.Number, missing(number+1, e.Number-1))
	case e.Number <= number:
		return fmt.Errorf("it carries number %d, which stood before it already: it was moved or repeated", e.Number)
	}
	return fmt.Errorf("it does not carry the hash of entry %d before it: an entry was replaced or put in", number)
}

func missing(first, last int) string {
	if first == last {
		return fmt.Sprintf("entry %d is", first)
	}
	return fmt.Sprintf("entries %d to %d are", first, last)
}

// ChainError says which entry of a journal is wrong and how.
type ChainError struct {
	Entry   int    // number of the entry, counted in the file from 1
	Problem string // a sentence about it
	Torn    bool   // an entry that a crash left half written: never acknowledged, set aside by the next writer
}

// Error names the entry and its problem.
func (e *ChainError) Error() string {
	return fmt.Sprintf("journal entry %d: %s", e.Entry, e.Problem)
}
