package governed

import (
	"context"
	"net/http"

	"ombor/internal/access"
	"ombor/internal/protocol"
)

// Judge is what the engine would be given of a statement of somebody, without running it; empty when
// the door answers it itself. Nothing is recorded.
func (d *Door) Judge(ctx context.Context, statement string, p *access.Principal) (text string, err error) {
	q, err := d.read(ctx, &protocol.Request{Query: statement, QueryID: "judge", Body: http.NoBody}, p)
	if err == nil {
		err = d.judge(ctx, q)
	}
	if err != nil || !q.runs() {
		return "", err
	}
	return q.text, nil
}
