package api

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"holdfast/internal/verify"
)

var statusDoc = doc{
	id: "poll-check-verify", summary: "Ask how a verification stands",
	text: "Answers the result as it is now, by the two ids of Send Link's answer. Ask every one to three seconds until " +
		"Status is no longer pending.",
	errors: []int{http.StatusNotFound},
}

type statusInput struct {
	RequestID string `path:"requestId" format:"uuid" doc:"From Send Link's answer" example:"019cb5a8-7c00-7001-8000-3f1d2a9b4c5e"`
	SessionID string `path:"sessionId" format:"uuid" doc:"From Send Link's answer" example:"5f0c7a52-3f7e-4a44-9d0a-0e6d1c9b8a71"`
}

func (a *api) status(ctx context.Context, in *statusInput) (*resultOutput, error) {
	var read reading
	request := parseID(in.RequestID, "requestId", &read)
	session := parseID(in.SessionID, "sessionId", &read)
	if len(read.bad) > 0 {
		return nil, failed(ctx, verify.Invalid(read.bad...))
	}
	client := callerOf(ctx).client
	r, err := a.Flow.Status(ctx, client, request, session)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &resultOutput{resultOf(r, client.Settings)}, nil
}

// parseID reads a UUID in its one usual form, of the several that uuid.Parse takes.
func parseID(text, name string, read *reading) uuid.UUID {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		read.refuse(name, "must be a UUID, as Send Link answered it")
	}
	return id
}
