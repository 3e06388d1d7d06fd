package exception

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// DefaultLife is how long an exception lives when nobody says otherwise.
const DefaultLife = 30 * 24 * time.Hour

// Options of a service.
type Options struct {
	// Now is the clock; nil = time.Now.
	Now func() time.Time
	// Seen reports whether mail from a domain was seen before the message that
	// asks for an exception. nil = not known, and the guard does not ask.
	Seen func(domain string) bool
	// Rules tells what the configuration says about changes now; nil = the zero
	// Rules. It is asked at every change.
	Rules func() Rules
}

// Service owns a journal file. It is safe for use by many goroutines, and any
// number of services and processes may share one journal.
type Service struct {
	path  string
	now   func() time.Time
	seen  func(domain string) bool
	ruled func() Rules
	wrap  func(*os.File) journalFile // nil = the file itself

	mu     sync.Mutex
	ledger ledger
	at     position
	notes  []string
	closed bool
}

// Open reads the journal at path, making it and its folder when absent. What a
// crash left half written is set aside, see Notes. A *ChainError means that the
// journal was tampered with: then nothing is loaded.
func Open(path string, o Options) (*Service, error) {
	s := &Service{path: path, now: o.Now, seen: o.Seen, ruled: o.Rules, at: origin()}
	if s.now == nil {
		s.now = time.Now
	}
	if err := create(path); err != nil {
		return nil, err
	}
	if _, err := s.Reload(); err != nil {
		return nil, err
	}
	// A writer mends what a crash left behind. A journal that cannot be written
	// now can still be read, and the next writer tries again.
	err := s.write(context.Background(), func() (entry, error) { return entry{}, errNothing })
	if err != nil && !errors.Is(err, errNothing) {
		s.notes = append(s.notes, err.Error())
	}
	return s, nil
}

// Close ends the service; every call after it fails.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Notes tells what was repaired in the journal since Open, a sentence each.
func (s *Service) Notes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notes)
}

var (
	errNothing = errors.New("nothing to write")
	errClosed  = errors.New("the exception journal is closed")
)

// Propose drafts an exception against a set (with the exceptions in force
// applied) without writing. Guards that refuse are answers in the draft; the
// error says in a sentence why nothing can be drafted at all.
func (s *Service) Propose(ctx context.Context, set *engine.Set, actor Actor, p Proposal) (Draft, error) {
	if err := ctx.Err(); err != nil {
		return Draft{}, err
	}
	if _, err := s.Reload(); err != nil {
		return Draft{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.propose(set, actor, p)
}

// Create journals a proposal whose guards all say ok; it is on disk when it
// returns. A *RefusedError says which guard refused. Where an approver can lift
// all that refuses, and there are approvers, it becomes a proposal: Proposed,
// and without effect until Approve.
func (s *Service) Create(ctx context.Context, set *engine.Set, actor Actor, p Proposal) (Exception, error) {
	var made Exception
	err := s.write(ctx, func() (entry, error) {
		d, err := s.propose(set, actor, p)
		if err != nil {
			return entry{}, err
		}
		made = d.Exception
		if made.Awaiting = s.awaiting(d.Guards); made.Awaiting == "" {
			if err := refusal(d.Guards); err != nil {
				return entry{}, err
			}
		}
		f := effectOf(d.Change)
		return entry{Time: made.Created, Kind: entryCreate, Actor: actor, Exception: &made, Effect: &f}, nil
	})
	if err != nil {
		return Exception{}, err
	}
	return made, nil
}

// propose drafts with the ledger as it is; s.mu is held.
func (s *Service) propose(set *engine.Set, actor Actor, p Proposal) (Draft, error) {
	if set == nil {
		return Draft{}, errors.New("no policy set is loaded, so nothing can be drafted")
	}
	now := s.instant()
	expires := p.Expires.UTC().Truncate(time.Millisecond)
	if expires.IsZero() && !p.Never {
		expires = now.Add(DefaultLife)
	}
	id := len(s.ledger.exceptions) + 1
	c, scope, err := draft(set, p, fmt.Sprintf("E-%d", id), now)
	if err != nil {
		return Draft{}, fmt.Errorf("draft %s: %w", p.Kind, err)
	}
	e := Exception{
		ID: id, Kind: p.Kind, Scope: scope, Ticket: clean(p.Ticket), Reason: clean(p.Reason),
		Actor: actor, Created: now, Expires: expires, MessageID: clean(p.Message.ID), Trace: traceDigest(set, &p.Message, now),
	}
	describe(&e, c)
	if p.Kind == engine.KindRelay {
		e.ForDomain = clean(p.Message.EnvelopeFrom.Domain())
	}
	e.Narrative = narrative(e)
	q := question{set: set, actor: actor, proposal: p, exception: e, change: c, now: now, live: s.ledger.inForce(now), ended: s.ledger.ended(now), seen: s.seen, waiting: s.ledger.proposed(now), approvers: s.rules().Approvers}
	c = effectOf(c).change(e)
	e.Steps = cleanAll(engine.ConsoleSteps(c))
	return Draft{Exception: e, Guards: append(q.answers(), s.guardOpen(), s.guardRate(actor, now)), Change: c}, nil
}

// instant is now as the journal writes it: UTC, milliseconds, as messages have it.
func (s *Service) instant() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// traceDigest is a digest of the trace the exception was decided on.
func traceDigest(set *engine.Set, m *mail.Message, now time.Time) string {
	at := m.Time
	if at.IsZero() {
		at = now
	}
	text, err := json.Marshal(engine.Replay(set, m, at))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Get returns one exception.
func (s *Service) Get(id int) (Exception, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 1 || id > len(s.ledger.exceptions) {
		return Exception{}, false
	}
	return s.ledger.exceptions[id-1], true
}

// List returns every exception, newest first.
func (s *Service) List() []Exception {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.ledger.exceptions)
	slices.Reverse(all)
	return all
}

// Changes returns what every exception does and did, with its window, for
// engine.Set.Apply; oldest first.
func (s *Service) Changes() []engine.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []engine.Change
	for i, e := range s.ledger.exceptions {
		all = append(all, s.ledger.effects[i].change(e))
	}
	return all
}

// PolicyEdits returns the edits of the policy file, oldest first.
func (s *Service) PolicyEdits() []PolicyEdit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ledger.edits)
}

// Reload reads what other processes appended; true when something was new.
func (s *Service) Reload() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, errClosed
	}
	f, size, err := openLocked(context.Background(), s.path, os.O_RDONLY, shared)
	if err != nil {
		return false, err
	}
	defer f.Close()
	before := s.at.entries
	_, err = s.catchUp(f, size)
	return s.at.entries > before, err
}

// catchUp folds the entries appended since the last look and returns what
// stands behind the last line end; s.mu and the file's lock are held.
func (s *Service) catchUp(f journalFile, size int64) (tail []byte, err error) {
	if err := s.at.unchanged(f, size); err != nil {
		return nil, err
	}
	h := readHead(s.path)
	s.at, tail, err = scan(f, s.at, size, h.watch(s.take))
	if err == nil {
		err = h.check(s.at, len(tail) > 0)
	}
	return tail, err
}

func (s *Service) take(e entry) error {
	if err := s.ledger.check(e); err != nil {
		return err
	}
	s.ledger.apply(e)
	return nil
}

// write appends the entry that decide makes from the newest state: other
// writers wait meanwhile. It is on disk when write returns nil.
func (s *Service) write(ctx context.Context, decide func() (entry, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	opened, size, err := openLocked(ctx, s.path, os.O_RDWR, exclusive)
	if err != nil {
		return err
	}
	defer opened.Close()
	var f journalFile = opened
	if s.wrap != nil {
		f = s.wrap(opened)
	}
	tail, err := s.catchUp(f, size)
	if err != nil {
		return err
	}
	if len(tail) > 0 {
		if err := s.mend(f, tail); err != nil {
			return err
		}
	}
	e, err := decide()
	if err != nil {
		return err
	}
	return s.append(f, e)
}

// mend repairs the end of the journal and folds an entry that turned out whole.
func (s *Service) mend(f journalFile, tail []byte) error {
	note, err := repair(f, s.path, s.at, tail, s.ledger.check)
	if err != nil {
		return err
	}
	s.notes = append(s.notes, note)
	if whole, err := s.at.step(tail, s.take); err == nil {
		whole.size++
		s.at = whole
	}
	writeHead(s.path, s.at)
	return nil
}

func (s *Service) append(f journalFile, e entry) error {
	e.Number, e.Prev = s.at.entries+1, s.at.hash
	line, hash, err := e.encode()
	if err != nil {
		return err
	}
	if err := s.ledger.check(e); err != nil {
		return fmt.Errorf("journal entry %d: %w", e.Number, err)
	}
	if err := write(f, s.at.size, line); err != nil {
		return err
	}
	s.ledger.apply(e)
	s.at = position{entries: e.Number, hash: hash, start: s.at.size, size: s.at.size + int64(len(line))}
	writeHead(s.path, s.at)
	return nil
}

// NotePolicyEdit journals an edit of the policy file. Its texts come from a
// file anybody may have written, so control characters are replaced and a long
// difference is cut, which its last line says.
func (s *Service) NotePolicyEdit(ctx context.Context, e PolicyEdit) error {
	return s.write(ctx, func() (entry, error) {
		now := s.instant()
		if e.Time.IsZero() {
			e.Time = now
		}
		e = PolicyEdit{Path: clean(e.Path), Hash: clean(e.Hash), Owner: clean(e.Owner), Time: e.Time.UTC(), Difference: shorten(cleanAll(e.Difference))}
		return entry{Time: now, Kind: entryPolicyEdit, Policy: &e}, nil
	})
}
