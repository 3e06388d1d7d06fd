// Package mimecast speaks Mimecast's API: whose keys, signed how, and what an
// answer is worth. Which calls are made is not its business: engine/publish
// writes policies with it, logparse/siem reads logs.
//
//	c, err := mimecast.New("https://eu-api.services.mimecast.com", "2.0", keys, nil)
//	answer, body, err := c.Call(ctx, mimecast.Request{Method: http.MethodPost, Path: "/api/...", Body: body})
package mimecast

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Keys are the secrets of an API application: ClientID and ClientSecret of API
// 2.0, the other four of API 1.0.
type Keys struct {
	ClientID, ClientSecret              string
	AppID, AppKey, AccessKey, SecretKey string
}

// Client speaks API 2.0, with OAuth client credentials, or 1.0, with an HMAC
// signature (the vendor's pages "API 2.0 Authentication" and "Authorization" of
// API 1.0). It is safe for use by many goroutines.
type Client struct {
	base string
	old  bool
	keys Keys
	http *http.Client
	now  func() time.Time

	mu      sync.Mutex
	token   string
	expires time.Time
}

// New makes a client for a base address such as
// https://eu-api.services.mimecast.com. Version is "2.0", also when it is empty,
// or "1.0"; now nil is time.Now. It asks nothing yet.
func New(base, version string, keys Keys, now func() time.Time) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Hostname() != "127.0.0.1" {
		return nil, fmt.Errorf("the address of the API %q is not https://host", base)
	}
	c := &Client{base: strings.TrimSuffix(base, "/"), old: version == "1.0", keys: keys, http: &http.Client{Timeout: 30 * time.Second}, now: now}
	if now == nil {
		c.now = time.Now
	}
	if c.old && (keys.AccessKey == "" || keys.SecretKey == "" || keys.AppID == "" || keys.AppKey == "") {
		return nil, errors.New("API 1.0 needs access_key, secret_key, app_id and app_key in the credentials file or the environment")
	}
	if !c.old && (keys.ClientID == "" || keys.ClientSecret == "") {
		return nil, errors.New("API 2.0 needs client_id and client_secret in the credentials file or the environment")
	}
	return c, nil
}

// Old reports whether it speaks API 1.0.
func (c *Client) Old() bool { return c.old }

// Base is the address of the API, without a slash at its end.
func (c *Client) Base() string { return c.base }

// Request is one call.
type Request struct {
	Method, Path string
	Body         any   // sent as JSON; nil = none
	Longest      int64 // bytes of the answer; a longer one is an error; 0 = 16 MiB
}

// Answer is the envelope of every answer in JSON. The API answers 200 with a
// filled fail list, so that list is what counts.
type Answer struct {
	Meta struct {
		Status     int `json:"status"`
		Pagination struct {
			Next string `json:"next"`
		} `json:"pagination"`
	} `json:"meta"`
	Data json.RawMessage `json:"data"`
	Fail []struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	} `json:"fail"`
}

// Error is a refusal of the API.
type Error struct {
	Status        int // of HTTP; 200 where the fail list was filled
	Code, Message string
}

// Error gives the API's words, shortened.
func (e *Error) Error() string {
	return fmt.Sprintf("the API answers %d %s: %s", e.Status, short(e.Code), short(e.Message))
}

func short(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}

// RateLimitError says that the API wants to be left alone.
type RateLimitError struct{ Reset time.Duration }

// Error names the time to wait.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("the API's rate limit is used up; it is free again in %s", e.Reset.Round(time.Second))
}

const (
	longestAnswer = 16 << 20
	longestWait   = 5 * time.Second // for a rate limit; past it the caller comes back later
)

// Call makes one call whose answer is JSON; body is the whole answer. A token
// that ran out is renewed once, a short rate limit waited for once. *Error when
// the API refuses, *RateLimitError when it is to be asked later.
func (c *Client) Call(ctx context.Context, r Request) (answer Answer, body []byte, err error) {
	status, _, body, err := c.Send(ctx, r)
	if err != nil {
		return Answer{}, nil, err
	}
	return Understand(status, body)
}

// Send is Call for an answer that may be something else than JSON.
func (c *Client) Send(ctx context.Context, r Request) (status int, header http.Header, body []byte, err error) {
	renewed, waited := false, false
	for {
		status, header, body, err := c.once(ctx, r)
		switch {
		case err != nil:
			return 0, nil, nil, err
		case status == http.StatusUnauthorized && !renewed && !c.old:
			renewed = true
			c.forget()
		case status == http.StatusTooManyRequests:
			reset := resetOf(header)
			if waited || reset > longestWait {
				return 0, nil, nil, &RateLimitError{reset}
			}
			waited = true
			if err := pause(ctx, reset); err != nil {
				return 0, nil, nil, err
			}
		default:
			return status, header, body, nil
		}
	}
}

// Understand reads an answer in JSON: *Error when it is a refusal, whatever
// its status.
func Understand(status int, body []byte) (Answer, []byte, error) {
	var answer Answer
	err := json.Unmarshal(body, &answer)
	if len(answer.Fail) > 0 {
		code, message := "fail", "without a reason"
		if faults := answer.Fail[0].Errors; len(faults) > 0 {
			code, message = faults[0].Code, faults[0].Message
		}
		return answer, body, &Error{status, code, message}
	}
	if status < 200 || status > 299 {
		return answer, body, &Error{status, http.StatusText(status), string(body)}
	}
	if err != nil && len(bytes.TrimSpace(body)) > 0 {
		return answer, body, fmt.Errorf("the API's answer is not JSON: %w", err)
	}
	return answer, body, nil
}

// resetOf reads how long a rate limit lasts: X-RateLimit-Reset in milliseconds,
// or Retry-After in seconds (RFC 9110 section 10.2.3).
func resetOf(header http.Header) time.Duration {
	if ms, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64); err == nil && ms >= 0 {
		return time.Duration(ms) * time.Millisecond
	}
	if s, err := strconv.ParseInt(header.Get("Retry-After"), 10, 64); err == nil && s >= 0 {
		return time.Duration(s) * time.Second
	}
	return time.Minute
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// once makes one call as it is.
func (c *Client) once(ctx context.Context, r Request) (int, http.Header, []byte, error) {
	var body io.Reader
	if r.Body != nil {
		text, err := json.Marshal(r.Body)
		if err != nil {
			return 0, nil, nil, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, c.base+r.Path, body)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if err := c.authorise(ctx, req); err != nil {
		return 0, nil, nil, err
	}
	return c.exchange(req, r.Longest)
}

func (c *Client) exchange(req *http.Request, longest int64) (int, http.Header, []byte, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("ask the API: %w", err)
	}
	defer resp.Body.Close()
	if longest <= 0 {
		longest = longestAnswer
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, longest+1))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read the API's answer: %w", err)
	}
	if int64(len(data)) > longest {
		return 0, nil, nil, fmt.Errorf("read the API's answer: it is longer than %d bytes", longest)
	}
	return resp.StatusCode, resp.Header, data, nil
}
