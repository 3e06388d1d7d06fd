package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/observe"
	"mailwhy/engine/exception"
	"mailwhy/index"
	"mailwhy/tui/sshd"
)

// watch tells those who run the server how it does: the log, the metrics, the
// service manager (sd_notify(3)).
type watch struct {
	app     *app.App
	tenants []*tenant
	log     *slog.Logger
	file    io.Closer // of the log; nil = none to close
	metrics *observe.Metrics
	parts   map[string]*observe.Metrics // of the tenants, by name
	door    atomic.Pointer[sshd.Server] // nil until it listens
	ready   chan struct{}               // closed when everything listens
}

// newWatch opens the log, and has the app tell it what happens.
func newWatch(a *app.App, tenants []*tenant, stderr io.Writer) (*watch, error) {
	w := &watch{app: a, tenants: tenants, parts: map[string]*observe.Metrics{}, log: slog.New(slog.DiscardHandler), ready: make(chan struct{})}
	switch path := a.Config.Serve.Log; path {
	case "":
	case "stderr":
		w.log = observe.NewLogger(stderr)
	default:
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("open log: %w", err)
		}
		w.file, w.log = f, observe.NewLogger(f)
	}
	a.Log = w.log
	if a.Config.Serve.Metrics != "" {
		w.measure()
	}
	if a.Config.Serve.Address == "" {
		close(w.ready)
	}
	return w, nil
}

// opened is called when the SSH server listens.
func (w *watch) opened(s *sshd.Server) {
	w.door.Store(s)
	close(w.ready)
}

// end writes the last line of the log and closes it.
func (w *watch) end(err error) error {
	if err != nil {
		w.log.Error("stopped", "error", err.Error())
	} else {
		w.log.Info("stopped")
	}
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}

// run tells the service manager how it stands, and the log of new troubles,
// until ctx ends.
func (w *watch) run(ctx context.Context) error {
	beat, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read the watchdog's interval: %w", err)
	}
	every := 5 * time.Second
	if beat > 0 {
		every = min(every, beat/3)
	}
	select {
	case <-w.ready:
		w.log.Info("started", "version", version(), "ssh", w.app.Config.Serve.Address, "metrics", w.app.Config.Serve.Metrics)
		w.notify(daemon.SdNotifyReady)
	case <-ctx.Done():
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	known := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			w.notify(daemon.SdNotifyStopping)
			return nil
		case <-tick.C:
			known = w.newTroubles(known)
			if w.answers(ctx) == nil {
				w.notify(daemon.SdNotifyWatchdog)
			}
		}
	}
}

func (w *watch) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		w.log.Warn("the service manager was not told", "state", state, "error", err.Error())
	}
}

func (w *watch) newTroubles(known map[string]bool) map[string]bool {
	now := map[string]bool{}
	look := func(a *app.App, log *slog.Logger, tenant string) {
		for _, t := range a.Troubles() {
			key := tenant + "\x00" + t.Sentence
			if now[key] = true; !known[key] {
				log.Warn("trouble", "at", t.Path, "problem", t.Sentence)
			}
		}
	}
	look(w.app, w.log, "")
	for _, t := range w.tenants {
		if a, _ := t.state(); a != nil && t.name != "" {
			look(a, a.Log, t.name)
		}
	}
	return now
}

// serveMetrics answers /metrics and /healthz, where the configuration says so,
// until ctx ends.
func (w *watch) serveMetrics(ctx context.Context) error {
	if w.metrics == nil {
		<-ctx.Done()
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", w.app.Config.Serve.Metrics)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	return observe.Serve(ctx, listener, w.metrics.Handler(w.healthy))
}

// answers tells whether every index still answers, within the watchdog's patience.
func (w *watch) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	q, err := index.ParseQuery("since:1h", w.app.Now(), time.UTC)
	if err != nil {
		return err
	}
	_, err = w.app.Index.Page(ctx, q, "", 1)
	for _, t := range w.tenants {
		if a, _ := t.state(); a != nil && err == nil {
			_, err = a.Index.Page(ctx, q, "", 1)
		}
	}
	return err
}

// healthy is the answer to /healthz: the index answers and nothing keeps the
// program from its work.
func (w *watch) healthy(ctx context.Context) error {
	if err := w.answers(ctx); err != nil {
		return errors.New("the index does not answer")
	}
	var all error
	for _, t := range w.tenants {
		a, problem := t.state()
		switch {
		case t.name == "":
		case problem != "":
			all = errors.Join(all, fmt.Errorf("tenant %s is not served; mailwhy sources says why", t.name))
		case a != nil && len(a.Troubles()) > 0:
			all = errors.Join(all, fmt.Errorf("tenant %s: troubles: %d; mailwhy sources names them", t.name, len(a.Troubles())))
		}
	}
	if n := len(w.app.Troubles()); n > 0 && all == nil {
		return fmt.Errorf("troubles: %d; mailwhy sources names them", n)
	}
	return all
}

// measure makes the metrics of the server, and of each of its tenants.
func (w *watch) measure() {
	shared := len(w.app.Config.Serve.Tenants) > 0
	w.metrics = observe.NewMetrics(w.read, shared)
	w.app.Searched = w.metrics.Searched
	if !shared {
		return
	}
	for _, t := range w.tenants {
		w.parts[t.name] = w.metrics.Tenant(t.name, func(ctx context.Context) observe.Reading { return w.readTenant(ctx, t) })
	}
}

// tell has a tenant's app tell the log and the metrics what happens.
func (w *watch) tell(a *app.App, tenant string) {
	a.Log = w.log.With("tenant", tenant)
	if part := w.parts[tenant]; part != nil {
		a.Searched = part.Searched
	}
}

// read is the server's own reading for the metrics.
func (w *watch) read(ctx context.Context) observe.Reading {
	r := w.readFolder(ctx, w.app)
	if door := w.door.Load(); door != nil {
		r.Sessions["ssh"], r.Refused = door.SessionsOf(""), door.Refused()
	}
	return r
}

// readTenant is a tenant's reading; one that is not open is a trouble.
func (w *watch) readTenant(ctx context.Context, t *tenant) observe.Reading {
	r := observe.Reading{}
	a, problem := t.state()
	if a != nil {
		r = w.readFolder(ctx, a)
	}
	if problem != "" {
		r.Troubles++
	}
	r.Refused = -1 // at the door nobody is a tenant's yet
	if door := w.door.Load(); door != nil && a != nil {
		r.Sessions["ssh"] = door.SessionsOf(t.name)
	}
	return r
}

func (w *watch) readFolder(ctx context.Context, a *app.App) observe.Reading {
	r := observe.Reading{Sessions: map[string]int{"local": a.Attached(), "ssh": 0}, Exceptions: map[string]int{}, Troubles: len(a.Troubles())}
	for _, s := range a.Sources() {
		r.Sources = append(r.Sources, observe.Source{Path: s.Path, Lag: s.Lag, Behind: s.Behind, Lines: s.Lines, Unrecognised: s.Unrecognised, Problem: s.Problem != ""})
	}
	now := a.Now()
	for _, state := range []exception.State{exception.Live, exception.Pending, exception.Expired, exception.Proposed, exception.Revoked, exception.Failed} {
		r.Exceptions[string(state)] = 0
	}
	for _, e := range a.Exceptions.List() {
		r.Exceptions[string(e.State(now))]++
	}
	stats, err := a.Index.Stats(ctx)
	if err != nil {
		w.log.Warn("the index was not measured", "error", err.Error())
	}
	for _, s := range stats {
		r.Messages += s.Messages
		r.IndexBytes += s.Bytes
	}
	return r
}
