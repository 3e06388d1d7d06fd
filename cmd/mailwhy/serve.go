package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
)

// worker is work that `mailwhy serve` does in the background, beside following
// the logs and answering the socket. Run returns nil once ctx has ended; an
// error ends the server, with the worker's name before it.
type worker struct {
	name string
	run  func(ctx context.Context) error
}

// workersOf lists the background work of the server: one line each.
func (s *session) workersOf(a *app.App, tenants []*tenant, w *watch) []worker {
	list := []worker{{"watch", w.run}, {"metrics", w.serveMetrics}}
	for _, w := range a.Workers() {
		list = append(list, worker{w.Name, w.Run})
	}
	for _, t := range tenants {
		if t.name != "" {
			list = append(list, worker{"tenant " + t.name, func(ctx context.Context) error {
				return t.run(ctx, a.Config, func(of *app.App) { w.tell(of, t.name) })
			}})
		}
	}
	if a.Config.Serve.Address != "" {
		door := sshDoor{app: a, tenants: tenants, say: s.stderr, log: a.Log, open: w.opened}
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
	files, err := c.Tenants(os.Getenv)
	if err != nil {
		return err
	}
	a, err := app.OpenSoon(ctx, c)
	if err != nil {
		return err
	}
	common, err := s.screenOptions(c)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	tenants := []*tenant{onlyTenant(a, common)}
	if len(files) > 0 {
		tenants = nil
		a.Beside = func() []app.Trouble { return troubles(tenants) }
	}
	for _, file := range files {
		tenants = append(tenants, newTenant(file, s.stderr))
	}
	w, err := newWatch(a, tenants, s.stderr)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	err = own(ctx, a, common, func(ctx context.Context) error { return work(ctx, s.workersOf(a, tenants, w)) })
	for _, t := range tenants {
		if t.name != "" {
			err = errors.Join(err, t.close()) // nobody is in it any more
		}
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
