package descent

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
)

// Entry is one tensor of a session's layout. Optimizer may be empty: then it is the session's.
type Entry struct {
	Name      string `json:"name"`
	Shape     []int  `json:"shape"`
	Optimizer string `json:"optimizer,omitempty"`
}

// SessionSettings of a new session: exactly one of Coordinates and Layout.
type SessionSettings struct {
	Coordinates int               `json:"coordinates,omitempty"`
	Layout      []Entry           `json:"layout,omitempty"`
	Durability  string            `json:"durability,omitempty"` // "strict" (default), "relaxed" or "memory"
	ClipNorm    float64           `json:"clip_norm,omitempty"`
	TTLSeconds  int64             `json:"ttl_seconds,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// SessionInfo is what the server says of a session.
type SessionInfo struct {
	ID          string            `json:"id"`
	Coordinates int               `json:"coordinates"`
	Step        uint64            `json:"step"`
	StateBytes  int64             `json:"state_bytes"`
	Durability  string            `json:"durability"`
	State       string            `json:"state"`
	Labels      map[string]string `json:"labels"`
}

// Session is the server's state of one optimization. Not for several goroutines at once: a step follows on the one before.
type Session struct {
	client      *Client
	path        string
	ID          string
	Coordinates int
	Step        uint64 // what the next update is sent with
	Replayed    bool   // had the server taken the last update's step before?
}

func newSession(c *Client, info SessionInfo) *Session {
	return &Session{client: c, path: sessionPath(info.ID), ID: info.ID, Coordinates: info.Coordinates, Step: info.Step}
}

func sessionPath(id string) string { return "/v1/sessions/" + url.PathEscape(id) }

// NewSession begins an optimization with "name", "name:7" or "name@alias".
func (c *Client) NewSession(ctx context.Context, optimizer string, settings SessionSettings) (*Session, error) {
	body := struct {
		Optimizer string `json:"optimizer"`
		SessionSettings
	}{optimizer, settings}
	var info SessionInfo
	if err := c.call(ctx, http.MethodPost, "/v1/sessions", body, &info, creates); err != nil {
		return nil, err
	}
	return newSession(c, info), nil
}

// Resume goes on with a session, at the step where the server has it.
func (c *Client) Resume(ctx context.Context, id string) (*Session, error) {
	var info SessionInfo
	if err := c.call(ctx, http.MethodGet, sessionPath(id), nil, &info, 0); err != nil {
		return nil, err
	}
	return newSession(c, info), nil
}

// Sessions calls visit for every session until it returns an error, which is handed on.
func (c *Client) Sessions(ctx context.Context, visit func(SessionInfo) error) error {
	return pages(ctx, c, "/v1/sessions", visit)
}

// Update sends the gradient where the parameters stand; the update that it returns is to be ADDED to them. When no
// answer arrives the same step is sent again, which is safe; after a ConnectionError, or when ctx ended, Update may be
// called again with the same gradient.
func (s *Session) Update(ctx context.Context, gradient []float32) ([]float32, error) {
	return s.UpdateWithLoss(ctx, gradient, nil)
}

// UpdateWithLoss is Update with the objective's value for the session's history, unless loss is nil.
func (s *Session) UpdateWithLoss(ctx context.Context, gradient []float32, loss *float64) ([]float32, error) {
	if len(gradient) != s.Coordinates {
		return nil, fmt.Errorf("descent: the gradient has %d numbers, the session %d coordinates", len(gradient), s.Coordinates)
	}
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	header.Set("Descent-Step", strconv.FormatUint(s.Step, 10))
	if loss != nil {
		header.Set("Descent-Loss", strconv.FormatFloat(*loss, 'g', -1, 64))
	}
	reply, err := s.client.request(ctx, http.MethodPost, s.path+"/update", toBytes(gradient), header)
	if err != nil {
		return nil, err
	}
	step, err := strconv.ParseUint(reply.header.Get("Descent-Step"), 10, 64)
	if err != nil || len(reply.body) != 4*s.Coordinates {
		return nil, fmt.Errorf("descent: the answer is no update: %d bytes, step %q", len(reply.body), reply.header.Get("Descent-Step"))
	}
	s.Step, s.Replayed = step, reply.header.Get("Descent-Replayed") == "true"
	return toFloats(reply.body), nil
}

// Info is what the server says of the session.
func (s *Session) Info(ctx context.Context) (info SessionInfo, err error) {
	return info, s.client.call(ctx, http.MethodGet, s.path, nil, &info, 0)
}

// Reset goes back to the family's initial state and step 0.
func (s *Session) Reset(ctx context.Context) error {
	return s.take(ctx, "/reset", nil)
}

// Checkpoint keeps the state under a name, for Restore and Fork.
func (s *Session) Checkpoint(ctx context.Context, name string) error {
	return s.client.call(ctx, http.MethodPost, s.path+"/checkpoints", map[string]string{"name": name}, nil, creates)
}

// DeleteCheckpoint forgets a checkpoint.
func (s *Session) DeleteCheckpoint(ctx context.Context, name string) error {
	return s.client.call(ctx, http.MethodDelete, s.path+"/checkpoints/"+url.PathEscape(name), nil, nil, 0)
}

// Restore goes back to a checkpoint.
func (s *Session) Restore(ctx context.Context, checkpoint string) error {
	return s.take(ctx, "/restore", map[string]string{"checkpoint": checkpoint})
}

// Fork makes a new session with the same state, or with that of a checkpoint when its name is not empty.
func (s *Session) Fork(ctx context.Context, checkpoint string) (*Session, error) {
	body := map[string]string{}
	if checkpoint != "" {
		body["checkpoint"] = checkpoint
	}
	var info SessionInfo
	if err := s.client.call(ctx, http.MethodPost, s.path+"/fork", body, &info, creates); err != nil {
		return nil, err
	}
	return newSession(s.client, info), nil
}

// State is the whole state as a safetensors file.
func (s *Session) State(ctx context.Context) ([]byte, error) {
	reply, err := s.client.request(ctx, http.MethodGet, s.path+"/state", nil, nil)
	return reply.body, err
}

// LoadState takes over what State gave, of a session of the same optimizer version and size.
func (s *Session) LoadState(ctx context.Context, state []byte) error {
	header := http.Header{"Content-Type": {"application/x-safetensors"}}
	if _, err := s.client.request(ctx, http.MethodPut, s.path+"/state", state, header); err != nil {
		return err
	}
	info, err := s.Info(ctx)
	s.Step, s.Replayed = info.Step, false
	return err
}

// Delete ends the session.
func (s *Session) Delete(ctx context.Context) error {
	return s.client.call(ctx, http.MethodDelete, s.path, nil, nil, 0)
}

func (s *Session) take(ctx context.Context, action string, body any) error {
	var info SessionInfo
	if err := s.client.call(ctx, http.MethodPost, s.path+action, body, &info, 0); err != nil {
		return err
	}
	s.Step, s.Replayed = info.Step, false
	return nil
}

func toBytes(floats []float32) []byte {
	wire := make([]byte, 4*len(floats))
	for i, x := range floats {
		binary.LittleEndian.PutUint32(wire[4*i:], math.Float32bits(x))
	}
	return wire
}

func toFloats(wire []byte) []float32 {
	floats := make([]float32, len(wire)/4)
	for i := range floats {
		floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(wire[4*i:]))
	}
	return floats
}
