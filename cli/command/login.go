package command

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/connect"
	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/login"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/cli/terminal"
)

func newLogin(a *app) *cobra.Command {
	scopes := login.Scopes()
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in at the identity provider",
		Long: "Logs in at the OpenID Connect provider of the settings oidc-issuer and oidc-client, by\n" +
			"its device authorization flow (RFC 8628): it shows an address and a code, you open\n" +
			"the one in any browser on any machine and enter the other, and the command waits.\n\n" +
			"What the provider gives is kept in login.json in your configuration folder, readable\n" +
			"by you alone, and refreshed when it ends. It is used where token-file is not set.",
		Example: "  shipwarden login --oidc-issuer https://id.shop.example --oidc-client shipwarden",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			return a.login(cmd.Context(), scopes)
		}),
	}
	cmd.Flags().StringSliceVar(&scopes, "scopes", scopes, "what the provider is asked for")
	return cmd
}

func (a *app) login(ctx context.Context, scopes []string) error {
	session, err := a.session()
	if err != nil {
		return err
	}
	who, err := session.Login(ctx, scopes, func(c login.Code) {
		a.say("Open %s and enter the code %s", terminal.Escape(c.Address), terminal.Escape(c.Code))
		if c.Whole != "" {
			a.say("or open %s", terminal.Escape(c.Whole))
		}
	})
	if err != nil {
		return loginFailed(err)
	}
	until := "until " + who.Until.UTC().Format(time.RFC3339)
	if who.Renews {
		until = "and stay so while the provider agrees"
	}
	a.say("You are logged in as %s, %s", terminal.Escape(who.Name), until)
	return nil
}

func newLogout(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "logout",
		Short:   "Log out at the identity provider",
		Long:    "Removes what login has kept, and asks the provider to take the refresh token back.",
		Example: "  shipwarden logout",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			session, err := a.session()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			was, err := session.Logout(ctx)
			switch {
			case err != nil && was:
				a.say("You are logged out here.")
				return loginFailed(err)
			case err != nil:
				return loginFailed(err)
			case !was:
				a.say("You were not logged in.")
			default:
				a.say("You are logged out.")
			}
			return nil
		}),
	}
}

// session is the login of the settings.
func (a *app) session() (*login.Session, error) {
	s, err := a.settings()
	if err != nil {
		return nil, err
	}
	if s.OIDCIssuer == "" || s.OIDCClient == "" {
		return nil, exit.Withf(exit.Usage, "oidc-issuer and oidc-client are not set: give --oidc-issuer and --oidc-client, or put them into a context file (shipwarden help settings)")
	}
	if a.process.ConfigHome == "" {
		return nil, exit.Withf(exit.Usage, "there is no folder for your configuration: set HOME or XDG_CONFIG_HOME")
	}
	return &login.Session{
		Issuer: s.OIDCIssuer, Client: s.OIDCClient, CAFile: s.OIDCCAFile,
		Folder: filepath.Join(a.process.ConfigHome, "shipwarden"), Now: time.Now,
	}, nil
}

// bearer is what sends the caller's ID token; nil where the caller is known otherwise.
// The first token is asked for now, so that who is not logged in reads that and no
// refusal of a service.
func (a *app) bearer(s settings.Settings) (connect.Bearer, error) {
	if s.TokenFile != "" || s.OIDCIssuer == "" {
		return nil, nil //nolint:nilnil // None is needed.
	}
	session, err := a.session()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.call(context.Background())
	defer cancel()
	if _, err := session.Token(ctx); err != nil {
		if errors.Is(err, login.ErrNobody) && s.CertFile != "" {
			return nil, nil //nolint:nilnil // The certificate says who calls.
		}
		return nil, loginFailed(err)
	}
	return session, nil
}

// loginFailed gives an error of a login its exit code.
func loginFailed(err error) error {
	switch {
	case errors.Is(err, login.ErrNobody), errors.Is(err, login.ErrOver), errors.Is(err, login.ErrDenied):
		return exit.With(exit.Denied, err)
	case errors.Is(err, login.ErrTooLate), errors.Is(err, context.DeadlineExceeded):
		return exit.With(exit.TimedOut, err)
	case errors.Is(err, login.ErrProvider):
		return exit.With(exit.Unreachable, err)
	}
	return exit.Otherwise(exit.Usage, err)
}
