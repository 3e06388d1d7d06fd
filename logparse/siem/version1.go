package siem

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"mailwhy/engine/mimecast"
)

// version1 reads POST /api/audit/get-siem-logs: a file a call, and in a header
// the token of what follows; an answer in JSON says that there is no more.
type version1 struct{ api *mimecast.Client }

// kindMTA is the one log of API 1.0.
const kindMTA = "MTA"

// longestDownload is how long one answer may be, in bytes.
const longestDownload = 256 << 20

func (v version1) types() []string { return []string{kindMTA} }

func (v version1) page(ctx context.Context, kind, token string, _ time.Time) (page, error) {
	ask := map[string]any{"type": kind, "fileFormat": "key_value", "compress": false}
	if token != "" {
		ask["token"] = token
	}
	status, header, body, err := v.api.Send(ctx, mimecast.Request{Method: http.MethodPost, Path: "/api/audit/get-siem-logs", Body: map[string]any{"data": []any{ask}}, Longest: longestDownload})
	if err != nil {
		return page{}, err
	}
	next := header.Get("mc-siem-token")
	if strings.HasPrefix(header.Get("Content-Type"), "application/json") || status != http.StatusOK {
		if _, _, err := mimecast.Understand(status, body); err != nil {
			return page{}, err
		}
		return page{next: next, last: true}, nil
	}
	if next == "" {
		return page{}, errors.New("the API gives a file and no token of what follows it")
	}
	name := "the answer"
	if _, params, err := mime.ParseMediaType(header.Get("Content-Disposition")); err == nil && params["filename"] != "" {
		name = params["filename"]
	}
	return page{files: files(name, body), next: next}, nil
}

// files are those of an answer: several when it is a zip, as it is where the
// API compresses unasked.
func files(name string, body []byte) []file {
	if !bytes.HasPrefix(body, []byte("PK\x03\x04")) {
		return []file{{name, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }}}
	}
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return []file{{name, func(context.Context) (io.ReadCloser, error) { return nil, &goneError{name, err} }}}
	}
	var list []file
	for _, f := range archive.File {
		list = append(list, file{fmt.Sprintf("%s in %s", f.Name, name), func(context.Context) (io.ReadCloser, error) {
			in, err := f.Open()
			if err != nil {
				return nil, &goneError{f.Name, err}
			}
			return in, nil
		}})
	}
	return list
}
