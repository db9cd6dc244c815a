package postgres_test

import (
	"testing"

	"holdfast/internal/store/postgres"
	"holdfast/internal/store/storetest"
	"holdfast/internal/testkit/pgcluster"
)

// open makes a store on the database.
func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.New(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// migrated makes a new database with the schema in it.
func migrated(t testing.TB) (url string) {
	t.Helper()
	url = pgcluster.Database(t)
	if err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	return url
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, migrated(t)) })
}
