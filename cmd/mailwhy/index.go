package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/index"
	"mailwhy/index/ingest"
)

func newIndex(s *session) *cobra.Command {
	c := &cobra.Command{Use: "index", Short: "look after the index"}
	c.AddCommand(
		s.addJSON(&cobra.Command{
			Use: "stats", Short: "what each shard holds", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return s.withIndex(c.Context(), s.indexStats) },
		}),
		s.addJSON(&cobra.Command{
			Use: "verify", Short: "read everything and tell what is damaged", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return s.withIndex(c.Context(), s.indexVerify) },
		}),
		s.addJSON(&cobra.Command{
			Use: "compact", Short: "seal every shard and drop what no message needs", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				return s.withIndex(c.Context(), func(ctx context.Context, a *app.App) error {
					return s.changed(ctx, a, a.Index.Compact)
				})
			},
		}),
		newRebuild(s),
		s.addJSON(&cobra.Command{
			Use: "backup DIR", Short: "copy the data folder to a new one, while it is used", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return s.withIndex(c.Context(), func(ctx context.Context, a *app.App) error {
					dir, err := s.path(args[0])
					if err != nil {
						return err
					}
					return s.changed(ctx, a, func(ctx context.Context) error { return a.Backup(ctx, dir) })
				})
			},
		}),
	)
	return c
}

func newRebuild(s *session) *cobra.Command {
	var logs bool
	c := s.addJSON(&cobra.Command{
		Use: "rebuild", Short: "make the dictionaries of every shard anew from its messages", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.withIndex(c.Context(), func(ctx context.Context, a *app.App) error {
				return s.changed(ctx, a, func(ctx context.Context) error {
					if logs {
						if err := s.readAgain(ctx, a); err != nil {
							return err
						}
					}
					return a.Index.Rebuild(ctx)
				})
			})
		},
	})
	c.Flags().BoolVar(&logs, "logs", false, "read the configured logs again first, from their beginning: what was forgotten comes back where they still name it")
	return c
}

// readAgain reads the configured logs from their beginning. Messages keep their
// ids, so those that are there are brought up to date, and those whose logs are
// gone stay.
func (s *session) readAgain(ctx context.Context, a *app.App) error {
	if s.app != nil {
		return fmt.Errorf("the process that owns %s follows the logs: stop it, then run this", a.Config.Data)
	}
	if len(a.Config.Sources) == 0 {
		return errors.New("name the logs as sources in the configuration (mailwhy config print)")
	}
	if err := ingest.StartOver(a.Config.Data); err != nil {
		return err
	}
	_, err := s.ingest(ctx, a, a.Config.Sources, false)
	return err
}

// withIndex runs do for an admin.
func (s *session) withIndex(ctx context.Context, do func(context.Context, *app.App) error) error {
	return s.withApp(ctx, func(a *app.App, person app.Person) error {
		if person.Role != exception.Admin {
			return fmt.Errorf("%s is not an admin: the index is looked after by the owner of %s", person.Name, a.Config.Data)
		}
		return do(ctx, a)
	})
}

func (s *session) indexStats(ctx context.Context, a *app.App) error {
	s.printTroubles(a)
	stats, err := a.Index.Stats(ctx)
	if err != nil {
		return err
	}
	var sum index.ShardStats
	for _, st := range stats {
		sum.Messages += st.Messages
		sum.Bytes += st.Bytes
		sum.RawBytes += st.RawBytes
		if s.json {
			err = s.printJSON(s.stdout, st)
		} else {
			state := "live"
			if st.Sealed {
				state = "sealed"
			}
			_, err = fmt.Fprintf(s.stdout, "%s  %9d messages  %12d bytes, %d of them lines  %s\n", st.Name, st.Messages, st.Bytes, st.RawBytes, state)
		}
		if err != nil {
			return err
		}
	}
	if len(stats) == 0 {
		return errNothing
	}
	if s.json {
		return nil
	}
	_, err = fmt.Fprintf(s.stdout, "%d shards, %d messages, %d bytes, %d of them lines; %d bytes a message\n", len(stats), sum.Messages, sum.Bytes, sum.RawBytes, sum.Bytes/int64(max(sum.Messages, 1)))
	return err
}

// indexVerified is the last line of `index verify --json`.
type indexVerified struct {
	Messages int `json:"messages"`
	Problems int `json:"problems"`
}

func (s *session) indexVerify(ctx context.Context, a *app.App) error {
	n, found, err := a.Index.Verify(ctx)
	if err != nil {
		return err
	}
	for _, f := range found {
		if s.json {
			err = s.printJSON(s.stdout, f)
		} else {
			_, err = fmt.Fprintf(s.stdout, "%s  %s\n", or(f.Shard, "index"), plain(f.Sentence))
		}
		if err != nil {
			return err
		}
	}
	if s.json {
		err = s.printJSON(s.stdout, indexVerified{n, len(found)})
	} else {
		_, err = fmt.Fprintf(s.stdout, "%d messages read, %d problems\n", n, len(found))
	}
	if err == nil && len(found) > 0 {
		err = errors.New("the index is damaged: what the logs still hold is read again when mailwhy next follows them")
	}
	return err
}

// indexChanged is what a command that changes the index prints with --json.
type indexChanged struct {
	Done   bool  `json:"done"`
	Before int64 `json:"bytes_before"`
	After  int64 `json:"bytes_after"`
}

// changed runs do and tells what it did to the index's size.
func (s *session) changed(ctx context.Context, a *app.App, do func(context.Context) error) error {
	before, err := bytesOf(ctx, a)
	if err != nil {
		return err
	}
	if err := do(ctx); err != nil {
		return err
	}
	after, err := bytesOf(ctx, a)
	if err != nil {
		return err
	}
	if s.json {
		return s.printJSON(s.stdout, indexChanged{true, before, after})
	}
	_, err = fmt.Fprintf(s.stdout, "done: %d bytes before, %d bytes now\n", before, after)
	return err
}

func bytesOf(ctx context.Context, a *app.App) (n int64, err error) {
	stats, err := a.Index.Stats(ctx)
	for _, st := range stats {
		n += st.Bytes
	}
	return n, err
}

func newForget(s *session) *cobra.Command {
	var address string
	c := s.addJSON(&cobra.Command{
		Use: "forget --address A", Short: "remove a person's address from the index and the stored lines", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.withIndex(c.Context(), func(ctx context.Context, a *app.App) error {
				done, err := a.Forget(ctx, mail.Path(address))
				if err != nil {
					return err
				}
				if s.json {
					err = s.printJSON(s.stdout, done)
				} else {
					_, err = fmt.Fprintf(s.stdout, "%d messages forgotten, %d shards made anew; the logs, backups and the journal of exceptions are as they were\n", done.Messages, done.Shards)
				}
				if err == nil && done == (index.Forgotten{}) {
					return errNothing
				}
				return err
			})
		},
	})
	c.Flags().StringVar(&address, "address", "", "the address, user@domain")
	_ = c.MarkFlagRequired("address") // fails for a flag that is not there
	return c
}
