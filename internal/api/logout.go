package api

import "context"

var logoutDoc = doc{
	id: "logout", summary: "Log out",
	text: "Revokes the access token that the request carries.",
}

func (a *api) logout(ctx context.Context, _ *struct{}) (*struct{}, error) {
	if err := a.Access.Logout(ctx, callerOf(ctx).token); err != nil {
		return nil, failed(ctx, err)
	}
	return nil, nil
}
