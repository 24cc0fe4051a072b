// The conformance driver of the Go client: JSON commands in, JSON answers out (see ../../conformance/README.md).
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"sort"
	"strconv"

	descent "github.com/descent-server/descent/clients/go"
)

type command struct {
	Op         string
	Settings   json.RawMessage
	Gradient   []string
	Loss       *float64
	Step       *uint64
	Name       string
	Checkpoint string
	Family     string
	Config     map[string]any
	File       []byte
	Version    int
	Spec       json.RawMessage
}

type answer map[string]any

type driver struct {
	client  *descent.Client
	session *descent.Session
}

func (d *driver) where(err error) (answer, error) {
	if err != nil {
		return nil, err
	}
	return answer{"session": d.session.ID, "step": d.session.Step, "coordinates": d.session.Coordinates}, nil
}

func (d *driver) create(ctx context.Context, c command) (answer, error) {
	var optimizer struct{ Optimizer string }
	var settings descent.SessionSettings
	if err := errors.Join(json.Unmarshal(c.Settings, &optimizer), json.Unmarshal(c.Settings, &settings)); err != nil {
		return nil, err
	}
	session, err := d.client.NewSession(ctx, optimizer.Optimizer, settings)
	if err == nil {
		d.session = session
	}
	return d.where(err)
}

func (d *driver) resume(ctx context.Context) (answer, error) {
	session, err := d.client.Resume(ctx, d.session.ID)
	if err == nil {
		d.session = session
	}
	return d.where(err)
}

func (d *driver) update(ctx context.Context, c command) (answer, error) {
	gradient := make([]float32, len(c.Gradient))
	for i, word := range c.Gradient {
		bits, err := strconv.ParseUint(word, 16, 32)
		if err != nil {
			return nil, err
		}
		gradient[i] = math.Float32frombits(uint32(bits))
	}
	if c.Step != nil {
		d.session.Step = *c.Step
	}
	update, err := d.session.UpdateWithLoss(ctx, gradient, c.Loss)
	words := make([]string, len(update))
	for i, x := range update {
		words[i] = fmt.Sprintf("%08x", math.Float32bits(x))
	}
	return answer{"update": words, "step": d.session.Step, "replayed": d.session.Replayed}, err
}

func (d *driver) optimizers(ctx context.Context) (answer, error) {
	names := []string{}
	err := d.client.Optimizers(ctx, func(o descent.OptimizerInfo) error {
		names = append(names, o.Name)
		return nil
	})
	sort.Strings(names)
	return answer{"names": names}, err
}

func (d *driver) runJob(ctx context.Context, c command) (answer, error) {
	job, err := d.client.Submit(ctx, c.Spec)
	if err != nil {
		return nil, err
	}
	kinds := []string{}
	err = job.Events(ctx, "", func(e descent.Event) error {
		kinds = append(kinds, e.Kind)
		return nil
	})
	if err != nil {
		return nil, err
	}
	info, err := job.Info(ctx)
	return answer{"state": info.State, "first": kinds[0], "last": kinds[len(kinds)-1], "result": info.Result}, err
}

func (d *driver) obey(ctx context.Context, c command) (answer, error) {
	switch c.Op {
	case "create":
		return d.create(ctx, c)
	case "resume":
		return d.resume(ctx)
	case "update":
		return d.update(ctx, c)
	case "reset":
		return d.where(d.session.Reset(ctx))
	case "checkpoint":
		return answer{}, d.session.Checkpoint(ctx, c.Name)
	case "restore":
		return d.where(d.session.Restore(ctx, c.Checkpoint))
	case "fork":
		session, err := d.session.Fork(ctx, c.Checkpoint)
		if err == nil {
			d.session = session
		}
		return d.where(err)
	case "delete":
		return answer{}, d.session.Delete(ctx)
	case "create_optimizer":
		info, err := d.client.CreateOptimizer(ctx, c.Name, c.Family, c.Config)
		return answer{"name": info.Name, "latest_version": info.LatestVersion}, err
	case "optimizers":
		return d.optimizers(ctx)
	case "upload":
		info, err := d.client.Upload(ctx, c.Name, c.File)
		return answer{"version": info.Version}, err
	case "download":
		file, err := d.client.Download(ctx, c.Name, c.Version)
		sum := sha256.Sum256(file)
		return answer{"sha256": hex.EncodeToString(sum[:])}, err
	case "run_job":
		return d.runJob(ctx, c)
	}
	return nil, fmt.Errorf("unknown operation %q", c.Op)
}

func failure(err error) answer {
	var refused *descent.APIError
	var lost *descent.ConnectionError
	switch {
	case errors.As(err, &refused):
		return answer{"error": refused.Code, "status": refused.Status}
	case errors.As(err, &lost):
		return answer{"error": "connection_failed"}
	}
	log.Fatal(err)
	return nil
}

func main() {
	client, err := descent.New(descent.Options{})
	if err != nil {
		log.Fatal(err)
	}
	d := &driver{client: client}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			log.Fatal(err)
		}
		result, err := d.obey(context.Background(), c)
		if err != nil {
			result = failure(err)
		}
		if err := out.Encode(result); err != nil {
			log.Fatal(err)
		}
	}
}
