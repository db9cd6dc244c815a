//go:build !unix

package main

import (
	"context"
	"errors"
)

func throwAwayPostgres(context.Context) (url string, stop func(), err error) {
	return "", nil, errors.New("this system has no throw-away PostgreSQL: give --database-url")
}
