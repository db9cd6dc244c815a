//go:build unix

package main

import (
	"context"

	"holdfast/internal/testkit/pgcluster"
)

// throwAwayPostgres starts a PostgreSQL that is as durable as by default and
// gone after stop.
func throwAwayPostgres(ctx context.Context) (url string, stop func(), err error) {
	cluster, err := pgcluster.Start(ctx, pgcluster.Config{})
	if err != nil {
		return "", nil, err
	}
	return cluster.URL(), cluster.Stop, nil
}
