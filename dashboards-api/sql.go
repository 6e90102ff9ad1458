package dashboards

import "context"

var sqlParams = []string{"from", "to", "grain", "by", "where", "basis", "version", "variant", "known_on"}

// getSQL answers with the query on the analysts' views that gives the same figure.
func (s *server) getSQL(ctx context.Context, q *query) (*answer, error) {
	r, err := valueRequest(q)
	if err != nil {
		return nil, err
	}
	statement, err := s.config.Queries.SQL(ctx, *r)
	if err != nil {
		return nil, err
	}
	return &answer{body: statement}, nil
}
