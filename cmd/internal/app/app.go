// Package app wires the packages to one running program: the policy set with
// its exceptions, the index, the pump. Every front end goes through it.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mailwhy/cmd/internal/audit"
	"mailwhy/cmd/internal/config"
	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/index"
	"mailwhy/index/ingest"
)

// App is the open data folder and all that works on it.
type App struct {
	Config     config.Config // as it was at Open
	Index      *index.Index
	Exceptions *exception.Service
	Audit      *audit.Journal
	Now        func() time.Time

	// Log is told what happens; Searched how long a page took. Both are set
	// before the folder is used, nil = nobody is told.
	Log      *slog.Logger
	Searched func(took time.Duration)
	// Beside are the troubles of what runs beside this folder; nil = nothing does.
	Beside func() []Trouble

	attached atomic.Int64 // terminals
	present  presence

	lock *index.LockFile
	pump *ingest.Pump

	inputs []*input // none before Run

	mu      sync.RWMutex
	base    *engine.Set            // of the policy file
	kept    []policyVersion        // contents the file had, oldest first; nil = not read yet
	old     map[string]*engine.Set // versions of it that were asked for, by hash
	history string                 // why its edits are not kept; "" = they are
	set     *engine.Set            // with the exceptions
	problem string                 // of the policy file's last edit; "" = well

	pumpProblem string // why the logs are not followed; "" = they are
	changed     chan struct{}

	access        config.Access  // Config's, as last read
	changes       config.Changes // the same
	accessSeen    fileMark
	auditProblem  string // why something was not recorded; "" = well
	accessProblem string // of the last edit of who may do what; "" = well
	seen          fileMark

	applied  []engine.Change // in set
	gateways gateways
}

// fileMark tells whether a file was written since.
type fileMark struct {
	size int64
	time time.Time
}

// AuditName is the audit in the data folder.
const AuditName = "audit.jsonl"

// SocketName is the socket in the data folder.
const SocketName = "mailwhy.sock"

// Open takes the data folder and opens what is in it. *index.HeldError when
// another process has it.
func Open(c config.Config) (*App, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	a := &App{Config: c, access: c.Access, changes: c.Changes, Now: func() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }, changed: make(chan struct{})}
	var err error
	if a.lock, err = index.Lock(c.Data, filepath.Join(c.Data, SocketName)); err != nil {
		return nil, err
	}
	if a.Index, err = index.Open(filepath.Join(c.Data, "index"), index.Options{RetentionDays: c.RetentionDays, RetentionBytes: c.RetentionBytes, Now: a.Now}); err != nil {
		return nil, errors.Join(err, a.lock.Close())
	}
	if a.Exceptions, err = exception.Open(filepath.Join(c.Data, "exceptions.jsonl"), exception.Options{Now: a.Now, Seen: a.seenBefore, Rules: a.rules}); err != nil {
		return nil, errors.Join(err, a.Index.Close(), a.lock.Close())
	}
	if a.Audit, err = audit.Open(filepath.Join(c.Data, AuditName), a.Now); err != nil {
		return nil, errors.Join(err, a.Exceptions.Close(), a.Index.Close(), a.lock.Close())
	}
	if err := errors.Join(a.loadPolicy(), a.openGateways()); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// patience is how long OpenSoon waits for a short command to end.
const patience = 2 * time.Second

// OpenSoon is Open that waits for a holder that serves nobody: a short command
// that ends at once. *index.HeldError when the holder serves others, or stays.
func OpenSoon(ctx context.Context, c config.Config) (*App, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		a, err := Open(c)
		var held *index.HeldError
		if !errors.As(err, &held) || answers(ctx, held.Socket) {
			return a, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-again.C:
		}
	}
}

// Close ends everything and gives the folder back.
func (a *App) Close() error {
	return errors.Join(a.Exceptions.Close(), a.Audit.Close(), a.Index.Close(), a.gateways.decisions.Close(), a.lock.Close())
}

// loadPolicy reads the policy file; without one the set is empty.
func (a *App) loadPolicy() error {
	base := &engine.Set{}
	var kept error
	mark := markOf(a.Config.Policy) // before reading: what is written meanwhile is seen at the next look
	if a.Config.Policy != "" {
		data, err := os.ReadFile(a.Config.Policy)
		if err != nil {
			return fmt.Errorf("read policy file: %w", err)
		}
		if base, err = engine.Load(a.Config.Policy, data); err != nil {
			return err
		}
		kept = a.keepPolicy(context.Background(), base, data, mark.time)
	}
	a.mu.Lock()
	a.base, a.problem, a.seen, a.history = base, "", mark, ""
	if kept != nil {
		a.history = kept.Error()
	}
	a.mu.Unlock()
	a.applyExceptions()
	return nil
}

func markOf(path string) fileMark {
	info, err := os.Stat(path)
	if err != nil {
		return fileMark{}
	}
	return fileMark{size: info.Size(), time: info.ModTime()}
}

// applyExceptions puts the set in force together anew.
func (a *App) applyExceptions() {
	changes := a.Exceptions.Changes()
	a.mu.Lock()
	a.set, a.applied = a.base.Apply(changes...), changes
	a.mu.Unlock()
	a.tell()
	a.gateways.kick()
}

// tell wakes those who wait for changes of the set or of an exception.
func (a *App) tell() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.changed)
	a.changed = make(chan struct{})
}

// Set is the set in force.
func (a *App) Set() *engine.Set {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.set
}

// PolicyProblem says what is wrong with the policy file's last edit, while the
// set before it stays in force; "" = well.
func (a *App) PolicyProblem() string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.problem
}

// Trouble is one thing that keeps the program from its work.
type Trouble struct{ Path, Sentence string }

// Troubles are what a user must hear about besides the sources' own: a policy
// file whose last edit was not taken in, logs that are not followed, a data
// folder that was damaged or cannot be written.
func (a *App) Troubles() []Trouble {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var list []Trouble
	if a.problem != "" {
		list = append(list, Trouble{a.Config.Policy, "not taken in, the policies before it stay in force: " + a.problem})
	}
	if a.history != "" {
		list = append(list, Trouble{a.Config.Policy, "its edits are not kept: " + a.history})
	}
	if a.accessProblem != "" {
		list = append(list, Trouble{a.Config.File, "not taken in, who may do what stays as it was: " + a.accessProblem})
	}
	if a.auditProblem != "" {
		list = append(list, Trouble{filepath.Join(a.Config.Data, AuditName), "not everything was recorded: " + a.auditProblem})
	}
	if a.pumpProblem != "" {
		list = append(list, Trouble{strings.Join(append(a.Inputs(), a.Config.Sources...), " "), "not followed any more: " + a.pumpProblem})
	}
	found := a.Index.Problems()
	if a.pump != nil {
		found = append(found, a.pump.Problems()...)
	}
	for _, sentence := range found {
		list = append(list, Trouble{a.Config.Data, sentence})
	}
	if a.Beside != nil {
		list = append(list, a.Beside()...)
	}
	return append(list, a.gateways.all()...)
}

// lookEvery is how often the policy file and the journal are looked at: an
// edit is in force within a second.
const lookEvery = 300 * time.Millisecond

// Run follows the logs, the inputs, the policy file and the journal until ctx ends. When
// the logs cannot be followed any more the rest goes on, and Problems says so.
func (a *App) Run(ctx context.Context) error {
	pump, err := a.newPump(a.Followed())
	if err != nil {
		return err
	}
	inputs := a.openInputs(pump)
	a.mu.Lock()
	a.pump, a.inputs = pump, inputs
	a.mu.Unlock()
	var filling sync.WaitGroup
	defer filling.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	filling.Go(func() { runInputs(ctx, inputs) })
	done := make(chan error, 1)
	go func() { done <- pump.Run(ctx) }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if ctx.Err() != nil || err == nil {
				return err
			}
			a.mu.Lock()
			a.pumpProblem = err.Error()
			a.mu.Unlock()
			done = nil // the error is kept; the end is that of ctx
		case <-ctx.Done():
			if done == nil {
				return nil
			}
			return <-done
		case <-tick.C:
			a.look()
		}
	}
}

// watchEvery is how often Ingest tells its progress.
const watchEvery = 200 * time.Millisecond

// Ingest reads sources once; nil = those of the configuration, its inputs
// included. watch, unless nil, is told how far it is, a few times a second.
func (a *App) Ingest(ctx context.Context, sources []string, watch func(ingest.Progress)) ([]ingest.Status, error) {
	configured := sources == nil
	if configured {
		sources = a.Followed()
	}
	pump, err := a.newPump(sources)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.pump = pump
	a.mu.Unlock()
	var failed error
	if configured {
		failed = a.fetch(ctx, pump)
	}
	done := make(chan error, 1)
	go func() { done <- pump.Once(ctx) }()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return a.foldInputs(pump.Status(), nil), errors.Join(failed, err)
		case <-tick.C:
			if watch != nil {
				watch(pump.Progress())
			}
		}
	}
}

// Backlog tells how far the logs that were there at the start have been read;
// zero before Run.
func (a *App) Backlog() ingest.Progress {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.pump == nil {
		return ingest.Progress{}
	}
	return a.pump.Progress()
}

func (a *App) newPump(sources []string) (*ingest.Pump, error) {
	formats, err := Formats(a.Config.Formats)
	if err != nil {
		return nil, err
	}
	return ingest.New(ingest.Options{Sources: sources, Data: a.Config.Data, Index: a.Index, Location: a.Config.LocationOf, KeepAll: a.Config.All, Formats: formats, Reconcile: 500 * time.Millisecond})
}

// look takes in edits of the policy file and what others journalled.
func (a *App) look() {
	a.lookAccess()
	if news, err := a.Exceptions.Reload(); err == nil && news {
		a.applyExceptions()
	}
	a.mu.RLock()
	seen := a.seen
	a.mu.RUnlock()
	mark := markOf(a.Config.Policy)
	if a.Config.Policy == "" || mark == seen || mark == (fileMark{}) {
		return
	}
	if err := a.loadPolicy(); err != nil {
		a.mu.Lock()
		a.problem, a.seen = err.Error(), mark
		close(a.changed)
		a.changed = make(chan struct{})
		a.mu.Unlock()
		return
	}
}

func ownerOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if u, err := user.LookupId(fmt.Sprint(st.Uid)); err == nil {
			return u.Username
		}
		return fmt.Sprint(st.Uid)
	}
	return ""
}

// Actor tells who a local user is to this folder: its owner is admin, members
// of its group are operators, others viewers.
func (a *App) Actor(uid uint32) exception.Actor {
	who := exception.Actor{Name: fmt.Sprint(uid), Role: exception.Viewer}
	u, err := user.LookupId(fmt.Sprint(uid))
	if err == nil {
		who.Name = u.Username
	}
	info, statErr := os.Stat(a.Config.Data)
	if statErr != nil {
		return who
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return who
	}
	if st.Uid == uid || uid == 0 {
		who.Role = exception.Admin
		return who
	}
	if err == nil {
		groups, _ := u.GroupIds()
		for _, g := range groups {
			if g == fmt.Sprint(st.Gid) {
				who.Role = exception.Operator
			}
		}
	}
	return who
}

// Sources is the health of the followed logs; empty before Run.
func (a *App) Sources() []ingest.Status {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.pump == nil {
		return nil
	}
	return a.foldInputs(a.pump.Status(), a.inputs)
}

// Runner runs a command line in the owner's process for a peer.
type Runner func(ctx context.Context, peer Peer, args []string, stdin io.Reader, stdout, stderr io.Writer) int

// Peer is who asks through the socket.
type Peer struct {
	UID uint32
	Dir string // working directory, for relative paths
}
