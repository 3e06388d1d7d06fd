package siem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mailwhy/engine/mimecast"
)

// version2 reads GET /siem/v1/batch/events/cg: pages of files, each a gzip of
// JSON lines at an address that is signed and short-lived.
type version2 struct {
	api   *mimecast.Client
	files *http.Client
	kinds []string
}

// filesAPage is how many files a page is asked for.
const filesAPage = 100

func (v version2) types() []string { return v.kinds }

func (v version2) page(ctx context.Context, kind, token string, since time.Time) (page, error) {
	query := url.Values{"type": {kind}, "pageSize": {strconv.Itoa(filesAPage)}}
	if token == "" {
		query.Set("dateRangeStartsAt", since.UTC().Format(time.DateOnly))
	} else {
		query.Set("nextPage", token)
	}
	_, body, err := v.api.Call(ctx, mimecast.Request{Method: http.MethodGet, Path: "/siem/v1/batch/events/cg?" + query.Encode()})
	if err != nil {
		return page{}, err
	}
	return v.read(body)
}

// read reads a page.
func (v version2) read(body []byte) (page, error) {
	var answer struct {
		Value []struct {
			URL string `json:"url"`
		} `json:"value"`
		Next     string `json:"@nextPage"`
		Link     string `json:"@nextLink"`
		CaughtUp bool   `json:"isCaughtUp"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return page{}, fmt.Errorf("the API's page is not in the form that is documented: %w", err)
	}
	p := page{next: answer.Next, last: answer.CaughtUp || len(answer.Value) == 0}
	if link, err := url.Parse(answer.Link); err == nil && p.next == "" {
		p.next = link.Query().Get("nextPage")
	}
	for _, f := range answer.Value {
		u, err := url.Parse(f.URL)
		if err != nil {
			return page{}, errors.New("the API's page names a file by something that is no address") // which may hold a secret
		}
		p.files = append(p.files, file{u.Path, func(ctx context.Context) (io.ReadCloser, error) { return v.get(ctx, u) }})
	}
	return p, nil
}

// get asks for a file, without our credentials: its address is signed.
func (v version2) get(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	if !safe(u) {
		return nil, &goneError{u.Path, fmt.Errorf("its address is not https://host")}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, &goneError{u.Path, errors.New("its address cannot be asked")}
	}
	resp, err := v.files.Do(req)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", u.Path, withoutAddress(err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	_ = resp.Body.Close()
	err = fmt.Errorf("%s answers %s", u.Host, resp.Status)
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return nil, fmt.Errorf("file %s: %w", u.Path, err)
	}
	return nil, &goneError{u.Path, err} // 403 and 404 once the signature is too old
}

// safe reports whether a file may be asked for there.
func safe(u *url.URL) bool {
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && u.Hostname() == "127.0.0.1")
}

// withoutAddress is an error without the address, which is signed.
func withoutAddress(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Err
	}
	return err
}

// newFileClient bounds what one file may take.
func newFileClient() *http.Client {
	return &http.Client{Timeout: 15 * time.Minute, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > 3 || !safe(req.URL) {
			return errors.New("it leads elsewhere")
		}
		return nil
	}}
}
