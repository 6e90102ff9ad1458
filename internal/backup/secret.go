package backup

import (
	"bytes"
	"io"
	"os"
	"strings"

	"filippo.io/age"

	"ombor/internal/problem"
)

// Recipients reads age recipients ("age1…"), one on a line, with # before comments.
func Recipients(text string) ([]age.Recipient, error) {
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "", "this is no list of recipients; 'age-keygen' makes one, it begins with age1").(*problem.Error).In("recipient")
	}
	return list, nil
}

// Encrypt makes a secret readable for the recipients alone.
func Encrypt(secret []byte, to []age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err == nil {
		_, err = w.Write(secret)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "backup: encrypt", "the keys cannot be encrypted")
	}
	return out.Bytes(), nil
}

// Decrypt reads a secret with the identities of a file, as 'age-keygen' writes it.
func Decrypt(sealed []byte, identities string) ([]byte, error) {
	text, err := os.ReadFile(identities)
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "", "the identity in %s cannot be read", identities)
	}
	list, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil { // the cause could quote the identity
		return nil, problem.New(problem.BadInput, "%s holds no identity; 'age-keygen' makes one, it begins with AGE-SECRET-KEY-1", identities)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), list...)
	if err != nil {
		return nil, problem.Wrap(err, problem.Denied, "", "the keys of the backup cannot be read with the identity in %s", identities)
	}
	secret, err := io.ReadAll(r)
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "backup: decrypt", "the keys of the backup are damaged")
	}
	return secret, nil
}
