package sqlite_test

import (
	"path/filepath"
	"testing"

	"holdfast/internal/store/sqlite"
	"holdfast/internal/store/storetest"
)

var (
	_ storetest.Store     = (*sqlite.Store)(nil)
	_ storetest.Preloader = (*sqlite.Store)(nil)
)

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	config := sqlite.Config{Path: path}
	if err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, filepath.Join(t.TempDir(), "holdfast.db")) })
}
