package publish

import (
	"context"
	"encoding/json"
	"errors"

	"mailwhy/engine/mimecast"
)

// MimecastAPI makes the calls that read and write policies, groups and managed
// senders.
type MimecastAPI struct{ *mimecast.Client }

// callText is a call as a dry run shows it.
func callText(r mimecast.Request, base string) string {
	line := r.Method + " " + base + r.Path
	if r.Body != nil {
		body, err := json.Marshal(r.Body)
		if err != nil {
			return line
		}
		line += " " + string(body)
	}
	return line
}

// The bounds of a list.
const (
	mostPages = 200
	pageSize  = 100
)

// list reads every page of a call. each gets one page's answer. A page that
// leads back to an earlier one is an error, not an endless loop, and so is an
// end that the API gives without saying so.
func (a *MimecastAPI) list(ctx context.Context, page func(token string) mimecast.Request, each func(mimecast.Answer, []byte) error) error {
	seen := map[string]bool{}
	for token, n := "", 0; ; n++ {
		answer, body, err := a.Call(ctx, page(token))
		if err != nil {
			return err
		}
		if err := each(answer, body); err != nil {
			return err
		}
		token = answer.Meta.Pagination.Next
		if token == "" {
			return nil
		}
		if seen[token] || n > mostPages {
			return errors.New("the API's pages lead in a circle: the list is not known in full")
		}
		seen[token] = true
	}
}

// paged is an API 1.0 body: the pagination, and one item of data when there is
// one.
func paged(token string, data ...any) map[string]any {
	pagination := map[string]any{"pageSize": pageSize}
	if token != "" {
		pagination["pageToken"] = token
	}
	if data == nil {
		data = []any{}
	}
	return map[string]any{"meta": map[string]any{"pagination": pagination}, "data": data}
}
