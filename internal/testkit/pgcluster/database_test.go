//go:build unix

package pgcluster_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/testkit/pgcluster"
)

func TestDatabase(t *testing.T) {
	server := os.Getenv(pgcluster.EnvURL)
	var first, second string
	t.Run("two", func(t *testing.T) {
		first, second = pgcluster.Database(t), pgcluster.Database(t)
		if first == second {
			t.Fatal("two tests share a database")
		}
		conn, err := pgx.Connect(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		// Left open: a test that forgets to close must not keep its database.
		if _, err := conn.Exec(t.Context(), "CREATE TABLE t ()"); err != nil {
			t.Fatal(err)
		}
	})
	if server == "" {
		return
	}
	if conn, err := pgx.Connect(context.Background(), first); err == nil {
		conn.Close(context.Background())
		t.Error("the database is still there")
	}
}
