package flow

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/secret"
	"holdfast/internal/tenant"
	"holdfast/internal/verify"
)

// finish ends a consumed verification, mints its fingerprint and sends the
// browser home. Where someone else ended it first, theirs stands.
func (f *Flow) finish(ctx context.Context, v verify.Verification, client tenant.Client, browser Browser, o verify.Outcome) (Next, error) {
	vfp := f.vfp(v.ID, browser)
	o.At, o.VFP = f.now(), vfp.Digest(secret.ForVFP)
	err := f.Store.Complete(ctx, v.ID, o)
	if errors.Is(err, verify.ErrConflict) {
		if v, err = f.Store.Verification(ctx, v.ID); err == nil {
			return f.shown(v, client, browser), nil
		}
	}
	if err != nil {
		return Next{}, err
	}
	f.record(ctx, "completed", v, slog.String("match", o.Match.String()), slog.Any("reasons", o.Reasons))
	f.Observe("finish", o.Match.String(), time.Since(v.CreatedAt))
	return f.toTarget(v, client, vfp), nil
}

// Redeem is the fifth step: a client hands in the fingerprint that its target
// was given and reads the result. A fingerprint that is made up, another
// client's, or older than the client's result lifetime is verify.ErrNotFound.
func (f *Flow) Redeem(ctx context.Context, client tenant.Client, vfp string) (verify.Result, error) {
	token, ok := secret.ParseToken(vfp)
	if !ok {
		return verify.Result{}, verify.ErrNotFound
	}
	v, err := f.Store.Verification(ctx, verify.ID(token.ID))
	if err != nil {
		return verify.Result{}, err
	}
	now := f.now()
	if v.ClientID != client.ID || v.Track.Link != verify.LinkCompleted ||
		!v.Track.VFP.Equal(token.Digest(secret.ForVFP)) ||
		!now.Before(v.Track.EndedAt.Add(client.Settings.ResultLifetime())) {
		return verify.Result{}, verify.ErrNotFound
	}
	return f.resultAt(v, client, now), nil
}

// Status is the result as it stands, by the two ids that Send Link answered.
// Anything that does not belong together is verify.ErrNotFound.
func (f *Flow) Status(ctx context.Context, client tenant.Client, request, session uuid.UUID) (verify.Result, error) {
	id, ok := verify.RequestKey(request)
	if !ok {
		return verify.Result{}, verify.ErrNotFound
	}
	v, err := f.Store.Verification(ctx, id)
	if err != nil {
		return verify.Result{}, err
	}
	if v.ClientID != client.ID || v.RequestID != request || v.SessionID != session {
		return verify.Result{}, verify.ErrNotFound
	}
	return f.resultAt(v, client, f.now()), nil
}

func (f *Flow) resultAt(v verify.Verification, client tenant.Client, now time.Time) verify.Result {
	return verify.ResultAt(v, client.Settings.Policy, now)
}
