package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mailwhy/index/ingest"
	"mailwhy/logparse/spool"
)

// input is a source that is no file: what it brings goes to a spool, whose
// files the pump follows like any log.
type input struct {
	name  string // of its folder
	title string // on the Sources screen
	spool *spool.Spool

	// run fills the spool until ctx ends; an error is told and it is run again.
	// nil = another input's run does.
	run func(ctx context.Context) error
	// once takes in what there is now; nil = it cannot be asked.
	once func(ctx context.Context) error
	// problem and note are what it says of itself; nil = nothing.
	problem, note func() string

	mu     sync.Mutex
	failed string // why run ended; "" = it runs
}

// inputsFolder holds the spools, a folder each, in the data folder.
const inputsFolder = "spool"

func (a *App) spoolFolder(name string) string {
	return filepath.Join(a.Config.Data, inputsFolder, name)
}

// inputNames are the inputs of the configuration by their spools' names, each
// with its title.
func (a *App) inputNames() (names, titles []string) {
	add := func(name, title string) { names, titles = append(names, name), append(titles, title) }
	for _, c := range a.Config.Syslog {
		for _, name := range syslogNames(c) {
			add(name, fmt.Sprintf("%s (syslog %s %s)", name, c.Protocol, c.Address))
		}
	}
	for _, c := range a.Config.SIEM {
		add(c.Name, fmt.Sprintf("%s (%s)", c.Name, c.URL))
	}
	for _, c := range a.Config.Journal {
		add(c.Name, c.Name+" (journal)")
	}
	return names, titles
}

// Inputs are the titles of the configured inputs.
func (a *App) Inputs() []string {
	_, titles := a.inputNames()
	return titles
}

// Followed are the files, globs and folders to read: those of the
// configuration, and the spools of its inputs.
func (a *App) Followed() []string {
	all := append([]string(nil), a.Config.Sources...)
	names, _ := a.inputNames()
	for _, name := range names {
		all = append(all, spool.Pattern(a.spoolFolder(name)))
	}
	return all
}

// openInputs opens the spools, of which the pump tells what it has for good. An
// input that cannot be opened is told on the Sources screen; the others work.
func (a *App) openInputs(pump *ingest.Pump) []*input {
	var all []*input
	names, titles := a.inputNames()
	byName := map[string]*input{}
	for i, name := range names {
		in := &input{name: name, title: titles[i]}
		s, err := spool.Open(spool.Options{Dir: a.spoolFolder(name), Limit: a.Config.SpoolBytes, Used: pump.Kept})
		if err != nil {
			in.failed = err.Error()
		}
		in.spool = s
		byName[name] = in
		all = append(all, in)
	}
	for _, c := range a.Config.Syslog {
		openSyslog(c, byName)
	}
	for _, c := range a.Config.SIEM {
		a.openSIEM(c, byName[c.Name])
	}
	for _, c := range a.Config.Journal {
		openJournal(c, byName[c.Name])
	}
	return all
}

// fetch takes in once what the inputs can be asked for. The pump follows
// meanwhile, for a spool takes no more than its bound.
func (a *App) fetch(ctx context.Context, pump *ingest.Pump) error {
	if len(a.Config.SIEM)+len(a.Config.Journal) == 0 {
		return nil
	}
	inputs := a.openInputs(pump)
	following, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- pump.Run(following) }()
	var failed error
	for _, in := range inputs {
		if in.once == nil || in.spool == nil {
			continue
		}
		if err := in.once(ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s was not read to its end: %w", in.title, err))
		}
	}
	stop()
	failed = errors.Join(failed, <-done)
	for _, in := range inputs {
		if in.spool != nil {
			failed = errors.Join(failed, in.spool.Close())
		}
	}
	return failed
}

// inputAgain is how long an input that failed waits before it is tried again.
const inputAgain = 5 * time.Second

// runInputs runs the inputs until ctx ends, then closes their spools.
func runInputs(ctx context.Context, inputs []*input) {
	var running sync.WaitGroup
	for _, in := range inputs {
		if in.run != nil && in.spool != nil {
			running.Go(func() { in.keepRunning(ctx) })
		}
	}
	<-ctx.Done()
	running.Wait()
	for _, in := range inputs {
		if in.spool != nil {
			_ = in.spool.Close() // what it could not write it has told
		}
	}
}

func (in *input) keepRunning(ctx context.Context) {
	for ctx.Err() == nil {
		err := in.run(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		in.mu.Lock()
		in.failed = fmt.Sprintf("%v; it is tried again", err)
		in.mu.Unlock()
		select {
		case <-time.After(inputAgain):
		case <-ctx.Done():
		}
	}
}

// works notes that what failed goes on.
func (in *input) works() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.failed = ""
}

func (in *input) trouble() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.failed != "":
		return in.failed
	case in.spool != nil && in.spool.Problem() != "":
		return in.spool.Problem()
	case in.problem != nil:
		return in.problem()
	}
	return ""
}

// mostSamples is how many lines that were not understood one input shows.
const mostSamples = 100

// foldInputs puts one row in the place of the files of each spool; inputs that
// run have one before there are any. inputs is nil, or in the configuration's
// order.
func (a *App) foldInputs(all []ingest.Status, inputs []*input) []ingest.Status {
	names, titles := a.inputNames()
	rows := make([]ingest.Status, len(names))
	var rest []ingest.Status
	for _, st := range all {
		if i := a.inputOf(st.Path, names); i >= 0 {
			rows[i].Path = titles[i]
			fold(&rows[i], st)
		} else {
			rest = append(rest, st)
		}
	}
	for i, in := range inputs {
		rows[i].Path = in.title
		if trouble := in.trouble(); trouble != "" {
			rows[i].Problem = trouble
		}
		if in.note != nil {
			rows[i].Note = in.note()
		}
	}
	return append(rest, slices.DeleteFunc(rows, func(row ingest.Status) bool { return row.Path == "" })...)
}

// inputOf is the place in names of the input whose file path is; -1 = none's.
func (a *App) inputOf(path string, names []string) int {
	for i, name := range names {
		if filepath.Dir(path) == a.spoolFolder(name) {
			return i
		}
	}
	return -1
}

// fold adds a file to the row of its input.
func fold(row *ingest.Status, st ingest.Status) {
	row.Lines += st.Lines
	row.Bytes += st.Bytes
	row.Behind += st.Behind
	row.Unrecognised += st.Unrecognised
	row.Cut += st.Cut
	row.LetGo = st.LetGo
	row.Lag = max(row.Lag, st.Lag)
	row.Samples = append(row.Samples, st.Samples...)
	row.Samples = row.Samples[max(len(row.Samples)-mostSamples, 0):]
	if st.Format != "" {
		row.Format = st.Format
	}
	if st.LastLine.After(row.LastLine) {
		row.LastLine = st.LastLine
	}
	if st.Problem != "" {
		row.Problem = strings.TrimPrefix(row.Problem+"; "+st.Problem, "; ")
	}
}
