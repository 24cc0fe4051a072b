// Package descent is a client for Descent, the server of learned optimizers.
//
//	client, err := descent.New(descent.Options{})
//	session, err := client.NewSession(ctx, "adam", descent.SessionSettings{Coordinates: len(theta)})
//	update, err := session.Update(ctx, gradient)
//	for i := range theta { theta[i] += update[i] }
//
// Every request may be sent twice: an update carries its step number, a POST that creates an Idempotency-Key, the rest
// changes nothing more the second time. So a lost connection, an answer that does not come in time and a 429 or 503
// lead to another try, after a pause that doubles and is never the same for two clients.
package descent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Options of a Client. The zero value is fine.
type Options struct {
	URL      string        // DESCENT_URL when empty, else http://127.0.0.1:8080
	Key      string        // DESCENT_API_KEY when empty, else the file named by DESCENT_API_KEY_FILE, else none
	Timeout  time.Duration // of one try: DESCENT_TIMEOUT_SECONDS when zero, else a minute
	Attempts int           // how often one request is tried: 8 when zero
	HTTP     *http.Client  // for proxies and TLS: one of its own when nil
}

// Client is a Descent server. Goroutines may share it.
type Client struct {
	base, key string
	timeout   time.Duration
	attempts  int
	http      *http.Client
}

// New fails when the address makes no sense or a file named by the environment cannot be read. It sends nothing.
func New(o Options) (*Client, error) {
	base := firstOf(o.URL, os.Getenv("DESCENT_URL"), "http://127.0.0.1:8080")
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("descent: %q is no http or https address", base)
	}
	key, err := keyOf(o)
	if err != nil {
		return nil, err
	}
	timeout, err := timeoutOf(o)
	if err != nil {
		return nil, err
	}
	c := &Client{base: strings.TrimRight(base, "/"), key: key, timeout: timeout, attempts: o.Attempts, http: o.HTTP}
	if c.attempts < 1 {
		c.attempts = 8
	}
	if c.http == nil {
		c.http = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16}}
	}
	return c, nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func keyOf(o Options) (string, error) {
	if key := firstOf(o.Key, os.Getenv("DESCENT_API_KEY")); key != "" {
		return key, nil
	}
	path := os.Getenv("DESCENT_API_KEY_FILE")
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("descent: the key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func timeoutOf(o Options) (time.Duration, error) {
	if o.Timeout > 0 {
		return o.Timeout, nil
	}
	text := firstOf(os.Getenv("DESCENT_TIMEOUT_SECONDS"), "60")
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds <= 0 {
		return 0, fmt.Errorf("descent: DESCENT_TIMEOUT_SECONDS is %q", text)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// OptimizerInfo describes an optimizer. LatestVersion is nil while it has none.
type OptimizerInfo struct {
	Name          string            `json:"name"`
	Family        string            `json:"family"`
	Config        map[string]any    `json:"config"`
	Description   string            `json:"description"`
	Labels        map[string]string `json:"labels"`
	LatestVersion *int              `json:"latest_version"`
}

// VersionInfo describes one version of an optimizer.
type VersionInfo struct {
	Version                 int            `json:"version"`
	Family                  string         `json:"family"`
	Config                  map[string]any `json:"config"`
	SHA256                  string         `json:"sha256"`
	SizeBytes               int64          `json:"size_bytes"`
	WeightsCount            int64          `json:"weights_count"`
	StateBytesPerCoordinate *float64       `json:"state_bytes_per_coordinate"`
	Source                  string         `json:"source"`
	CreatedAt               time.Time      `json:"created_at"`
}

// Optimizers calls visit for every optimizer until it returns an error, which is handed on.
func (c *Client) Optimizers(ctx context.Context, visit func(OptimizerInfo) error) error {
	return pages(ctx, c, "/v1/optimizers", visit)
}

// Optimizer describes one optimizer.
func (c *Client) Optimizer(ctx context.Context, name string) (info OptimizerInfo, err error) {
	return info, c.call(ctx, http.MethodGet, optimizerPath(name), nil, &info, 0)
}

// CreateOptimizer makes a named optimizer; a hand-designed family has version 1 at once. A nil config is the default.
func (c *Client) CreateOptimizer(ctx context.Context, name, family string, config map[string]any) (info OptimizerInfo, err error) {
	body := struct {
		Name   string         `json:"name"`
		Family string         `json:"family"`
		Config map[string]any `json:"config,omitempty"`
	}{name, family, config}
	return info, c.call(ctx, http.MethodPost, "/v1/optimizers", body, &info, creates)
}

// DeleteOptimizer deletes an optimizer that nothing uses, with its versions.
func (c *Client) DeleteOptimizer(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, optimizerPath(name), nil, nil, 0)
}

// Versions calls visit for every version of an optimizer.
func (c *Client) Versions(ctx context.Context, name string, visit func(VersionInfo) error) error {
	return pages(ctx, c, optimizerPath(name)+"/versions", visit)
}

// Upload adds a version from a safetensors file.
func (c *Client) Upload(ctx context.Context, name string, weights []byte) (info VersionInfo, err error) {
	header := http.Header{"Content-Type": {"application/x-safetensors"}, "Idempotency-Key": {freshKey()}}
	reply, err := c.request(ctx, http.MethodPost, optimizerPath(name)+"/versions", weights, header)
	if err != nil {
		return info, err
	}
	return info, json.Unmarshal(reply.body, &info)
}

// Download gets the weights of a version as a safetensors file.
func (c *Client) Download(ctx context.Context, name string, version int) ([]byte, error) {
	path := fmt.Sprintf("%s/versions/%d/weights", optimizerPath(name), version)
	reply, err := c.request(ctx, http.MethodGet, path, nil, nil)
	return reply.body, err
}

// SetAlias lets name@alias mean a version from now on.
func (c *Client) SetAlias(ctx context.Context, name, alias string, version int) error {
	path := optimizerPath(name) + "/aliases/" + url.PathEscape(alias)
	return c.call(ctx, http.MethodPut, path, map[string]int{"version": version}, nil, 0)
}

func optimizerPath(name string) string { return "/v1/optimizers/" + url.PathEscape(name) }

// pages fetches a list page by page.
func pages[T any](ctx context.Context, c *Client, path string, visit func(T) error) error {
	query := url.Values{"page_size": {"1000"}}
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next_page_token"`
		}
		if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page, 0); err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := visit(item); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		query.Set("page_token", page.Next)
	}
}

type callFlag int

const creates callFlag = 1 // sent twice, it still makes one

// call sends a request with JSON both ways; body and out may be nil.
func (c *Client) call(ctx context.Context, method, path string, body, out any, flags callFlag) error {
	header := http.Header{}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
		header.Set("Content-Type", "application/json")
	}
	if flags&creates != 0 {
		header.Set("Idempotency-Key", freshKey())
	}
	reply, err := c.request(ctx, method, path, text, header)
	if err != nil || out == nil || len(reply.body) == 0 {
		return err
	}
	return json.NewDecoder(bytes.NewReader(reply.body)).Decode(out)
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

// request sends until there is an answer; a failure of the server's is an *APIError.
func (c *Client) request(ctx context.Context, method, path string, body []byte, header http.Header) (reply, error) {
	for attempt := 1; ; attempt++ {
		got, err := c.once(ctx, method, path, body, header)
		wait := pause(attempt)
		switch {
		case ctx.Err() != nil:
			return reply{}, ctx.Err()
		case err != nil:
			if attempt == c.attempts {
				return reply{}, &ConnectionError{Tries: attempt, Err: err}
			}
		case got.status < 400:
			return got, nil
		case method == http.MethodDelete && got.status == http.StatusNotFound && attempt > 1:
			return reply{}, nil // an earlier try has deleted it, and its answer was lost
		default:
			failure := newAPIError(got)
			again := got.status == http.StatusTooManyRequests || got.status == http.StatusServiceUnavailable
			if !again || attempt == c.attempts {
				return reply{}, failure
			}
			wait = max(wait, failure.RetryAfter)
		}
		if err := sleep(ctx, wait); err != nil {
			return reply{}, err
		}
	}
}

func (c *Client) once(ctx context.Context, method, path string, body []byte, header http.Header) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	response, err := c.send(ctx, method, path, body, header)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	whole, err := readAll(response)
	return reply{response.StatusCode, response.Header, whole}, err
}

// send begins a request; the caller closes the response's body.
func (c *Client) send(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	return c.http.Do(request)
}

// readAll takes the announced number of bytes into one buffer of that size.
func readAll(response *http.Response) ([]byte, error) {
	if response.ContentLength < 0 {
		return io.ReadAll(response.Body)
	}
	whole := make([]byte, response.ContentLength)
	_, err := io.ReadFull(response.Body, whole)
	return whole, err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
