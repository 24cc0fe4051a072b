package descent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// JobInfo is what the server says of a job.
type JobInfo struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	State    string          `json:"state"` // queued running paused succeeded failed cancelled
	Progress json.RawMessage `json:"progress"`
	Result   json.RawMessage `json:"result"`
	Error    json.RawMessage `json:"error"`
}

// Event of a job. Kind is "state", "progress", "metric", "log" or "done".
type Event struct {
	ID, Kind string
	Data     json.RawMessage
}

// Job is long work on the server: meta-training or evaluation.
type Job struct {
	client *Client
	path   string
	ID     string
}

// JobFailedError says that a job ended otherwise than by success.
type JobFailedError struct{ Info JobInfo }

func (e *JobFailedError) Error() string {
	return fmt.Sprintf("descent: job %s %s: %s", e.Info.ID, e.Info.State, e.Info.Error)
}

// Submit starts a job from its specification, whatever marshals to it.
func (c *Client) Submit(ctx context.Context, spec any) (*Job, error) {
	var info JobInfo
	if err := c.call(ctx, http.MethodPost, "/v1/jobs", spec, &info, creates); err != nil {
		return nil, err
	}
	return c.Job(info.ID), nil
}

// Job is a handle on a job; it sends nothing.
func (c *Client) Job(id string) *Job {
	return &Job{client: c, path: "/v1/jobs/" + url.PathEscape(id), ID: id}
}

// Info is what the server says of the job.
func (j *Job) Info(ctx context.Context) (info JobInfo, err error) {
	return info, j.client.call(ctx, http.MethodGet, j.path, nil, &info, 0)
}

// Cancel ends the job.
func (j *Job) Cancel(ctx context.Context) error { return j.act(ctx, "/cancel") }

// Pause stops the job until Resume.
func (j *Job) Pause(ctx context.Context) error { return j.act(ctx, "/pause") }

// Resume goes on with a paused job.
func (j *Job) Resume(ctx context.Context) error { return j.act(ctx, "/resume") }

func (j *Job) act(ctx context.Context, action string) error {
	return j.client.call(ctx, http.MethodPost, j.path+action, nil, nil, 0)
}

// Events calls visit for every event until the job is done or visit returns an error, which is handed on. A lost
// connection is taken up again where it was.
func (j *Job) Events(ctx context.Context, after string, visit func(Event) error) error {
	for silent := 1; ; silent++ {
		before := after
		done, err := j.follow(ctx, &after, visit)
		var refusal *APIError
		var stop *visitError
		switch {
		case done || ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stop):
			return stop.err
		case errors.As(err, &refusal):
			return err
		case after != before:
			silent = 0
		case silent >= j.client.attempts:
			return &ConnectionError{Tries: silent, Err: err}
		}
		if err := sleep(ctx, pause(silent+1)); err != nil {
			return err
		}
	}
}

type visitError struct{ err error }

func (e *visitError) Error() string { return e.err.Error() }

func (j *Job) follow(ctx context.Context, after *string, visit func(Event) error) (done bool, err error) {
	header := http.Header{"Accept": {"text/event-stream"}}
	if *after != "" {
		header.Set("Last-Event-ID", *after)
	}
	response, err := j.client.send(ctx, http.MethodGet, j.path+"/events", nil, header)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode >= 400 {
		whole, _ := io.ReadAll(response.Body)
		return false, newAPIError(reply{response.StatusCode, response.Header, whole})
	}
	return read(response.Body, after, visit)
}

// read parses Server-Sent Events (WHATWG HTML, 9.2) until the connection ends.
func read(stream io.Reader, after *string, visit func(Event) error) (done bool, err error) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<24)
	event, data := Event{}, []string(nil)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "" && data != nil:
			event.Data = json.RawMessage(strings.Join(data, "\n"))
			if err := visit(event); err != nil {
				return false, &visitError{err}
			}
			*after = firstOf(event.ID, *after)
			if event.Kind == "done" {
				return true, nil
			}
			event, data = Event{}, nil
		case name == "id":
			event.ID = value
		case name == "event":
			event.Kind = value
		case name == "data":
			data = append(data, value)
		}
	}
	return false, lines.Err()
}

// Wait follows the job to its end and unmarshals its result into out, unless that is nil.
func (j *Job) Wait(ctx context.Context, out any) error {
	if err := j.Events(ctx, "", func(Event) error { return nil }); err != nil {
		return err
	}
	info, err := j.Info(ctx)
	if err != nil {
		return err
	}
	if info.State != "succeeded" {
		return &JobFailedError{info}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(info.Result, out)
}
