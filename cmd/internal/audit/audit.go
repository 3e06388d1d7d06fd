// Package audit keeps who did what: an append-only file of JSON lines in which
// every entry carries the hash (SHA-256) of the one before and its own, and is
// on disk before the call returns.
//
// People are named in it by a salted reference alone; which address a reference
// stands for is kept in a file beside it. Taking a person out of that file
// forgets them, and the chain still holds.
//
// The chain finds an edit, an insertion, a removal and a change of order, and
// names the entry. That the end was cut off is found by the head: the number
// and hash of the last entry, kept beside the file, and elsewhere by whoever
// anchors it. Who can write all of these can write new ones.
//
//	j, err := audit.Open("audit.jsonl", time.Now)
//	err = j.Note(audit.Entry{Event: audit.Login, Actor: "anna", Key: "SHA256:..."})
//
// It must not know what the entries are about.
package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"mailwhy/engine/chain"
)

// Event is what was done.
type Event string

// The events.
const (
	Login        Event = "login"
	LoginRefused Event = "login_refused"
	Logout       Event = "logout"
	Search       Event = "search" // of somebody's mail, by a role that does not see all of it
	View         Event = "view"   // of a message, by a role that does not see all of it
	Propose      Event = "propose"
	Approve      Event = "approve"
	Decline      Event = "decline"
	Create       Event = "create"
	Revoke       Event = "revoke"
	Extend       Event = "extend"
	Confirm      Event = "confirm"
	Publish      Event = "publish"
	Forget       Event = "forget"
)

// Entry is one line.
type Entry struct {
	Number    int       `json:"n"` // from 1, without gaps
	Time      time.Time `json:"time"`
	Event     Event     `json:"event"`
	Actor     string    `json:"actor,omitempty"`
	Role      string    `json:"role,omitempty"`
	Key       string    `json:"key,omitempty"`  // fingerprint of the key that was proved, or of a refused login's
	From      string    `json:"from,omitempty"` // address of the client
	Exception int       `json:"exception,omitempty"`
	Message   string    `json:"message,omitempty"` // id
	Ticket    string    `json:"ticket,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	People    []string  `json:"people,omitempty"` // references
	Prev      string    `json:"prev"`
}

// Journal is the open file. It is safe for use by many goroutines of one
// process; the caller sees to it that there is one process.
type Journal struct {
	now func() time.Time

	mu     sync.Mutex
	file   *os.File
	path   string
	at     Head
	size   int64
	people people
}

// Open opens the file, making it when absent. What a crash left half written is
// set aside. A *TamperedError means that the file is not what it was.
func Open(path string, now func() time.Time) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open audit: %w", err)
	}
	j := &Journal{now: now, file: f, path: path}
	if err := j.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

func (j *Journal) load() error {
	data, err := os.ReadFile(j.path)
	if err != nil {
		return fmt.Errorf("read audit: %w", err)
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	if torn := data[len(whole):]; len(torn) > 0 {
		if err := errors.Join(os.WriteFile(j.path+".torn", torn, 0o600), j.file.Truncate(int64(len(whole))), j.file.Sync()); err != nil {
			return fmt.Errorf("set half an audit entry aside: %w", err)
		}
	}
	remembered, err := readHead(j.path)
	if err != nil {
		return err
	}
	if j.at, err = check(whole, remembered, nil); err != nil {
		return err
	}
	j.size = int64(len(whole))
	j.people, err = openPeople(j.path + ".people")
	return err
}

// Close closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

// Head is the last entry.
func (j *Journal) Head() Head {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.at
}

// Note appends an entry; Number, Time and Prev are filled in. The addresses of
// people become references.
func (j *Journal) Note(e Entry, people ...string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range people {
		ref, err := j.people.reference(p)
		if err != nil {
			return err
		}
		e.People = append(e.People, ref)
	}
	e.Number, e.Time, e.Prev = j.at.Number+1, j.now().UTC().Truncate(time.Millisecond), j.at.hash()
	line, hash, err := encode(e)
	if err != nil {
		return err
	}
	_, err = j.file.WriteAt(line, j.size)
	if err = errors.Join(err, j.file.Sync()); err != nil {
		return errors.Join(fmt.Errorf("write audit entry %d: %w", e.Number, err), j.file.Truncate(j.size))
	}
	j.size += int64(len(line))
	j.at = Head{Number: e.Number, Hash: hash}
	return writeHead(j.path, j.at)
}

// Forget takes a person out of what references stand for; false when they were
// not in it. The entries stay, and name nobody.
func (j *Journal) Forget(person string) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.people.forget(person)
}

// Person is whom a reference stands for; "" when forgotten or never known.
func (j *Journal) Person(ref string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.people.of(ref)
}

// List gives the entries, oldest first.
func (j *Journal) List() ([]Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	data, err := os.ReadFile(j.path)
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	var list []Entry
	_, err = check(data, j.at, func(e Entry) { list = append(list, e) })
	return list, err
}

// encode gives the line, which ends with the hash of all that stands before it.
func encode(e Entry) (line []byte, hash string, err error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, "", fmt.Errorf("write audit entry %d: %w", e.Number, err)
	}
	line, hash = chain.Seal(body)
	return line, hash, nil
}

// TamperedError says which entry is not what it was, and how.
type TamperedError struct {
	Entry   int // counted in the file from 1
	Problem string
}

// Error names the entry.
func (e *TamperedError) Error() string { return fmt.Sprintf("audit entry %d: %s", e.Entry, e.Problem) }

// Head is the number and the hash of an entry; the zero value is before the
// first.
type Head struct {
	Number int
	Hash   string
}

// String is NUMBER:HASH, as ParseHead reads it.
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Number, h.hash()) }

func (h Head) hash() string {
	if h.Hash == "" {
		return chain.Genesis
	}
	return h.Hash
}

// ParseHead reads NUMBER:HASH.
func ParseHead(text string) (h Head, err error) {
	if n, err := fmt.Sscanf(strings.TrimSpace(text), "%d:%64s", &h.Number, &h.Hash); n != 2 || err != nil || len(h.Hash) != len(chain.Genesis) {
		return Head{}, fmt.Errorf("%.100q is no head of an audit, which is NUMBER:HASH", text)
	}
	return h, nil
}

func readHead(journal string) (Head, error) {
	data, err := os.ReadFile(journal + ".head")
	if errors.Is(err, fs.ErrNotExist) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, fmt.Errorf("read audit head: %w", err)
	}
	if len(data) == 0 { // what a power cut leaves of a file that was not on disk yet
		return Head{}, nil
	}
	return ParseHead(string(data))
}

// writeHead replaces the head; a crash in between leaves the one before, which
// the file still holds.
func writeHead(journal string, h Head) error {
	name := journal + ".head"
	if err := errors.Join(os.WriteFile(name+".new", []byte(h.String()+"\n"), 0o600), os.Rename(name+".new", name)); err != nil {
		return fmt.Errorf("write audit head: %w", err)
	}
	return nil
}

// Verify checks a file, and against heads that were kept elsewhere; it returns
// the last entry. With the file's own head beside it, that is held against it
// too. The error is a *TamperedError.
func Verify(path string, anchors ...Head) (Head, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Head{}, fmt.Errorf("read audit: %w", err)
	}
	own, err := readHead(path)
	if err != nil {
		return Head{}, err
	}
	var last Head
	for _, h := range append([]Head{own}, anchors...) {
		if last, err = check(data, h, nil); err != nil {
			return last, err
		}
	}
	return last, nil
}

// check walks the chain up to its end, which must come after the entry that is
// remembered and hold it unchanged.
func check(data []byte, remembered Head, each func(Entry)) (at Head, err error) {
	for number := 1; len(data) > 0; number++ {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		wrong := func(problem string) (Head, error) { return at, &TamperedError{number, problem} }
		if !ended {
			return wrong("it is only half there: the file was cut, or a writer died before it was acknowledged")
		}
		data = rest
		hash, err := chain.Check(line)
		if err != nil {
			return wrong(err.Error())
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return wrong("it is no audit entry: " + err.Error())
		}
		switch {
		case e.Number > number:
			return wrong(fmt.Sprintf("it carries number %d: entries before it were taken out", e.Number))
		case e.Number < number:
			return wrong(fmt.Sprintf("it carries number %d: it was moved, repeated or put in", e.Number))
		case e.Prev != at.hash():
			return wrong("it does not carry the hash of the entry before it: one of the two was replaced or put in")
		}
		at = Head{Number: number, Hash: hash}
		if number == remembered.Number && hash != remembered.Hash {
			return wrong("it is another one than the one that was remembered: the file was written anew")
		}
		if each != nil {
			each(e)
		}
	}
	if at.Number < remembered.Number {
		return at, &TamperedError{at.Number + 1, fmt.Sprintf("it is missing: there were %d entries, the end was cut off", remembered.Number)}
	}
	return at, nil
}
