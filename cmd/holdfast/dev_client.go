package main

import (
	"context"
	"errors"

	"holdfast/internal/sim/demo"
)

// demoClient is how the demo business calls the API.
type demoClient struct{}

func (demoClient) SendLink(context.Context, demo.Send) (demo.Started, error) {
	return demo.Started{}, errors.New("not wired yet")
}

func (demoClient) Status(context.Context, demo.Started) (demo.Result, error) {
	return demo.Result{}, errors.New("not wired yet")
}

func (demoClient) Redeem(context.Context, demo.Started, string) (demo.Result, error) {
	return demo.Result{}, errors.New("not wired yet")
}
