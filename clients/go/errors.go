package descent

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	mathrand "math/rand"
	"strconv"
	"time"
)

// APIError is the server's problem+json. Decide by Code, a constant such as "step_gap"; the sentence is for people.
type APIError struct {
	Status     int           `json:"-"`
	RetryAfter time.Duration `json:"-"`
	Code       string        `json:"code"`
	Title      string        `json:"title"`
	Detail     string        `json:"detail"`
	RequestID  string        `json:"request_id"`
	Retryable  bool          `json:"retryable"`
	Errors     []FieldError  `json:"errors"`
}

// FieldError says what is wrong with one field of a body.
type FieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

func (e *APIError) Error() string {
	return fmt.Sprintf("descent: %s: %s", firstOf(e.Code, strconv.Itoa(e.Status)), firstOf(e.Detail, e.Title))
}

func newAPIError(r reply) *APIError {
	e := &APIError{}
	if json.Unmarshal(r.body, e) != nil {
		e.Detail = string(r.body[:min(len(r.body), 200)])
	}
	e.Status = r.status
	if seconds, err := strconv.ParseUint(r.header.Get("Retry-After"), 10, 31); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// ConnectionError says that no answer came, however often it was tried. Err is the last reason.
type ConnectionError struct {
	Tries int
	Err   error
}

func (e *ConnectionError) Error() string {
	return fmt.Sprintf("descent: no answer in %d tries: %v", e.Tries, e.Err)
}

func (e *ConnectionError) Unwrap() error { return e.Err }

// pause is the time before the next try: 0.1 s, 0.2 s, ... up to 5 s, half of it by chance.
func pause(attempt int) time.Duration {
	seconds := math.Min(5, 0.05*math.Pow(2, float64(attempt))) * (0.5 + 0.5*mathrand.Float64())
	return time.Duration(seconds * float64(time.Second))
}

// freshKey is an Idempotency-Key for one creation.
func freshKey() string {
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		panic(err) // the system has no randomness: nothing can go on
	}
	return hex.EncodeToString(key[:])
}
