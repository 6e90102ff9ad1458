package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// keyMark is a file in the data folder that tells, without giving anything away,
// which keys the data were made with. With other keys every known event would look
// new and every person would be somebody else, so a server refuses to start.
const keyMark = "keys.id"

// markOf tells keys from those of another installation. A rotation of the pseudonym keys changes nothing of it.
func markOf(keys *contract.Keys) string {
	sum := sha256.Sum256(keys.Derive("mark"))
	return hex.EncodeToString(sum[:8])
}

// openKeys opens the keys of a data folder, or makes them when the folder is new.
func openKeys(cfg config) (*contract.Keys, error) {
	mark, file := filepath.Join(cfg.Data, keyMark), cfg.Keys
	if file == "" {
		file = filepath.Join(cfg.Data, "keys.json")
	}
	known, err := os.ReadFile(mark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, problem.Wrap(err, problem.Unavailable, "", "the data folder %s cannot be read", cfg.Data)
	}
	if len(known) > 0 {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, problem.New(problem.Conflict, "the keys of %s are missing: put %s back from its backup; with new keys nothing in the data could be recognised", cfg.Data, file)
		}
	}
	keys, err := contract.OpenKeys(file)
	if err != nil {
		return nil, err
	}
	switch own := markOf(keys); strings.TrimSpace(string(known)) {
	case own:
		return keys, nil
	case "":
		if err := os.WriteFile(mark, []byte(own+"\n"), 0o600); err != nil {
			return nil, problem.Wrap(err, problem.Unavailable, "", "the data folder %s cannot be written", cfg.Data)
		}
		return keys, nil
	}
	return nil, problem.New(problem.Conflict, "the keys in %s are not those that the data in %s were made with; name the right file with --keys", file, cfg.Data)
}
