// Package siem reads a gateway's log from Mimecast's SIEM API, 2.0 or 1.0, into
// a spool, which the ordinary tail follows (see logparse/spool).
//
// The API gives pages, each named by a token; a token is resumed from only when
// all lines of the pages before it are on disk. A page that broke off, by a
// fault of the API or the end of this program, is read again from its start:
// the lines of it that the spool has already, those behind the place of the
// last finished page, are not written again. So no line is lost and none is
// there twice.
//
//	r, err := siem.New(siem.Options{API: api, Spool: s, State: path})
//	err = r.Run(ctx)
//
// Rules of the API that are kept here: a filled fail list counts whatever the
// status says; a limit of calls names when it ends; the addresses of the files
// of a page are signed, which makes them secrets, and valid for a short time
// only. Credentials are the business of engine/mimecast.
package siem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"mailwhy/engine/mimecast"
	"mailwhy/logparse/spool"
)

// Options of a reader.
type Options struct {
	API   *mimecast.Client
	Spool *spool.Spool
	State string           // file of the tokens
	Types []string         // of API 2.0: receipt, process, delivery, av, spam, journal, ...; empty = the first three. 1.0 has one, of all mail.
	Since time.Duration    // of API 2.0: how far back the first reading begins, in whole days; 0 = 7 days, which is what the vendor keeps
	Every time.Duration    // between two looks when all was read; 0 = 1 minute
	Now   func() time.Time // nil = time.Now

	again time.Duration // first wait after a fault, doubled up to longestPause; 0 = 5 s
}

// longestPause is the longest wait after a fault, and for a limit of calls.
const longestPause = 15 * time.Minute

// mostTries is how often a file of a page is asked for that cannot be had
// although the API names it. Then it is left out, which is told.
const mostTries = 5

// Reader reads one account's log. Run and Once are for one goroutine, Note and
// Problem for any.
type Reader struct {
	options Options
	source  source
	files   *http.Client
	state   state
	known   map[uint64]int // how often a line stands behind the place, by its hash; nil = not looked
	tries   map[string]int // by file of the page that is being read

	mu      sync.Mutex
	problem string
	caught  time.Time // when all was read; zero = not yet
	left    []string  // why each file that was left out could not be had
}

// source is a version of the API.
type source interface {
	// types are the logs that are read one after the other.
	types() []string
	// page asks for what follows a token; "" = the first page.
	page(ctx context.Context, kind, token string, since time.Time) (page, error)
}

// page is one step through a log.
type page struct {
	files []file
	next  string // token of what follows; "" = none was given
	last  bool   // there is no more now
}

// New takes up where the state file says. It asks nothing yet.
func New(o Options) (*Reader, error) {
	if o.Since <= 0 {
		o.Since = 7 * 24 * time.Hour
	}
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.again <= 0 {
		o.again = 5 * time.Second
	}
	if len(o.Types) == 0 {
		o.Types = []string{"receipt", "process", "delivery"}
	}
	r := &Reader{options: o, files: newFileClient(), tries: map[string]int{}}
	if o.API.Old() {
		r.source = version1{o.API}
	} else {
		r.source = version2{o.API, r.files, o.Types}
	}
	var err error
	if r.state, err = readState(o.State); err != nil {
		return nil, err
	}
	return r, nil
}

// Run reads until ctx ends; then nil is returned. What goes wrong is told by
// Problem and tried again.
func (r *Reader) Run(ctx context.Context) error {
	for pause := r.options.again; ; {
		err := r.Once(ctx)
		wait := r.options.Every
		var limit *mimecast.RateLimitError
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			pause = r.options.again
		case errors.As(err, &limit):
			wait = min(max(limit.Reset, r.options.again), longestPause)
		default:
			wait = pause
			pause = min(2*pause, longestPause)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// Once reads all there is.
func (r *Reader) Once(ctx context.Context) error {
	err := r.all(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problem = ""
	switch {
	case err == nil:
		r.caught = r.options.Now()
	case ctx.Err() == nil:
		r.problem = err.Error() + "; it is tried again"
	}
	return err
}

// all reads every log to its end, first the one whose page was begun.
func (r *Reader) all(ctx context.Context) error {
	kinds := r.source.types()
	if r.state.Open != "" {
		kinds = append([]string{r.state.Open}, kinds...)
	}
	var failed error
	for _, kind := range kinds {
		err := r.toItsEnd(ctx, kind)
		var limit *mimecast.RateLimitError
		if err == nil {
			continue
		}
		r.known = nil // some of the page may be there
		failed = errors.Join(failed, fmt.Errorf("read the %s log: %w", kind, err))
		if r.state.Open != "" || errors.As(err, &limit) || ctx.Err() != nil {
			break // its page is first; the others may come after
		}
	}
	return failed
}

func (r *Reader) toItsEnd(ctx context.Context, kind string) error {
	for {
		more, err := r.step(ctx, kind)
		if err != nil || !more {
			return err
		}
	}
}

// step reads one page and reports whether there may be another.
func (r *Reader) step(ctx context.Context, kind string) (more bool, err error) {
	token := r.state.Tokens[kind]
	p, err := r.source.page(ctx, kind, token, r.options.Now().Add(-r.options.Since))
	if outdated(err) && token != "" {
		return true, r.startAnew(kind)
	}
	if err != nil {
		return false, err
	}
	unread := r.unread(kind, p.files)
	if len(unread) == 0 && (p.next == "" || p.next == token) {
		return false, r.finish(kind, p)
	}
	if err := r.begin(kind); err != nil {
		return false, err
	}
	for _, f := range unread {
		if err := r.take(ctx, f); err != nil {
			return false, err
		}
	}
	more = !p.last && p.next != "" && p.next != token
	return more, r.finish(kind, p)
}

// unread are the files of a page that were not read: where the API gave no
// token with a page, it is asked for again.
func (r *Reader) unread(kind string, files []file) []file {
	var list []file
	for _, f := range files {
		if !r.state.has(kind, f.name) {
			list = append(list, f)
		}
	}
	return list
}

// outdated reports whether the API does not know a token any more.
func outdated(err error) bool {
	var refused *mimecast.Error
	return errors.As(err, &refused) && (refused.Status == http.StatusBadRequest || refused.Status == http.StatusNotFound || refused.Status == http.StatusGone)
}

// Note says how far it is.
func (r *Reader) Note() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.caught.IsZero() {
		return "nothing was read yet"
	}
	return "all was read at " + r.caught.UTC().Format("15:04:05 UTC")
}

// Problem says what keeps it from reading, or what it could not read; "" =
// nothing.
func (r *Reader) Problem() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.left); n > 0 && r.problem == "" {
		return fmt.Sprintf("%d files could not be had and were left out, the last: %s", n, r.left[n-1])
	}
	return r.problem
}
