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
	log     *slog.Logger
	file    io.Closer // of the log; nil = none to close
	metrics *observe.Metrics
	door    atomic.Pointer[sshd.Server] // nil until it listens
	ready   chan struct{}               // closed when everything listens
}

// newWatch opens the log, and has the app tell it what happens.
func newWatch(a *app.App, stderr io.Writer) (*watch, error) {
	w := &watch{app: a, log: slog.New(slog.DiscardHandler), ready: make(chan struct{})}
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
		w.metrics = observe.NewMetrics(w.read)
		a.Searched = w.metrics.Searched
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
	for _, t := range w.app.Troubles() {
		if now[t.Sentence] = true; !known[t.Sentence] {
			w.log.Warn("trouble", "at", t.Path, "problem", t.Sentence)
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

// answers tells whether the index still answers, within the watchdog's patience.
func (w *watch) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	q, err := index.ParseQuery("since:1h", w.app.Now(), time.UTC)
	if err == nil {
		_, err = w.app.Index.Page(ctx, q, "", 1)
	}
	return err
}

// healthy is the answer to /healthz: the index answers and nothing keeps the
// program from its work.
func (w *watch) healthy(ctx context.Context) error {
	if err := w.answers(ctx); err != nil {
		return errors.New("the index does not answer")
	}
	if n := len(w.app.Troubles()); n > 0 {
		return fmt.Errorf("troubles: %d; mailwhy sources names them", n)
	}
	return nil
}

// read is a reading for the metrics.
func (w *watch) read(ctx context.Context) observe.Reading {
	r := observe.Reading{Sessions: map[string]int{"local": w.app.Attached(), "ssh": 0}, Exceptions: map[string]int{}, Troubles: len(w.app.Troubles())}
	if door := w.door.Load(); door != nil {
		r.Sessions["ssh"], r.Refused = door.Sessions(), door.Refused()
	}
	for _, s := range w.app.Sources() {
		r.Sources = append(r.Sources, observe.Source{Path: s.Path, Lag: s.Lag, Behind: s.Behind, Lines: s.Lines, Unrecognised: s.Unrecognised, Problem: s.Problem != ""})
	}
	now := w.app.Now()
	for _, state := range []exception.State{exception.Live, exception.Pending, exception.Expired, exception.Proposed, exception.Revoked, exception.Failed} {
		r.Exceptions[string(state)] = 0
	}
	for _, e := range w.app.Exceptions.List() {
		r.Exceptions[string(e.State(now))]++
	}
	stats, err := w.app.Index.Stats(ctx)
	if err != nil {
		w.log.Warn("the index was not measured", "error", err.Error())
	}
	for _, s := range stats {
		r.Messages += s.Messages
		r.IndexBytes += s.Bytes
	}
	return r
}
