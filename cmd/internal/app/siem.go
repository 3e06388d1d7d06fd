package app

import (
	"context"
	"path/filepath"
	"sync/atomic"

	"mailwhy/cmd/internal/config"
	"mailwhy/logparse/siem"
)

// openSIEM makes an account of the API what fills its spool. How far it was
// read stands beside the spool's files.
func (a *App) openSIEM(c config.SIEM, in *input) {
	var current atomic.Pointer[siem.Reader]
	reader := func() (*siem.Reader, error) {
		api, err := mimecastClient(c.URL, c.API, c.Credentials)
		if err != nil {
			return nil, err
		}
		r, err := siem.New(siem.Options{API: api, Spool: in.spool, State: filepath.Join(a.spoolFolder(c.Name), "resume.json"), Types: c.Types, Since: c.Since, Every: c.Every})
		if err != nil {
			return nil, err
		}
		in.works()
		current.Store(r)
		return r, nil
	}
	in.run = func(ctx context.Context) error {
		r, err := reader()
		if err != nil {
			return err
		}
		return r.Run(ctx)
	}
	in.once = func(ctx context.Context) error {
		r, err := reader()
		if err != nil {
			return err
		}
		return r.Once(ctx)
	}
	in.problem = func() string {
		if r := current.Load(); r != nil {
			return r.Problem()
		}
		return ""
	}
	in.note = func() string {
		if r := current.Load(); r != nil {
			return r.Note()
		}
		return ""
	}
}

// CheckSIEM says what keeps an account from being asked.
func CheckSIEM(c config.SIEM) error {
	_, err := mimecastClient(c.URL, c.API, c.Credentials)
	return err
}
