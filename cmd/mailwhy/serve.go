package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/tui"
)

// worker is work that `mailwhy serve` does in the background, beside following
// the logs and answering the socket. Run returns nil once ctx has ended; an
// error ends the server, with the worker's name before it.
type worker struct {
	name string
	run  func(ctx context.Context) error
}

// workersOf lists the background work of the server: one line each.
func (s *session) workersOf(a *app.App, common tui.Options, w *watch) []worker {
	list := []worker{{"watch", w.run}, {"metrics", w.serveMetrics}}
	for _, w := range a.Workers() {
		list = append(list, worker{w.Name, w.Run})
	}
	if a.Config.Serve.Address != "" {
		door := sshDoor{app: a, say: s.stderr, screen: common, log: a.Log, open: w.opened}
		list = append(list, worker{"ssh", door.serve})
	}
	return list
}

func newServe(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "own the data folder: follow the logs, index them and serve others until ended",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return s.serve(c.Context()) },
	}
}

// serve is the owner without screens of its own.
func (s *session) serve(ctx context.Context) error {
	c, err := s.configuration()
	if err != nil {
		return err
	}
	a, err := app.OpenSoon(ctx, c)
	if err != nil {
		return err
	}
	w, err := newWatch(a, s.stderr)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	common, err := s.screenOptions(c)
	if err == nil {
		err = own(ctx, a, common, func(ctx context.Context) error { return work(ctx, s.workersOf(a, common, w)) })
	}
	return errors.Join(err, w.end(err), a.Close())
}

// work runs the workers until ctx ends or one of them fails.
func work(ctx context.Context, workers []worker) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	failures := make(chan error, len(workers))
	for _, w := range workers {
		running.Go(func() {
			if err := w.run(ctx); err != nil {
				failures <- fmt.Errorf("%s: %w", w.name, err)
				cancel()
			}
		})
	}
	<-ctx.Done()
	running.Wait()
	close(failures)
	var all error
	for err := range failures {
		all = errors.Join(all, err)
	}
	return all
}
