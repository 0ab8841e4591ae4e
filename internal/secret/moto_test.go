package secret

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/test/moto"
)

func TestAgainstMoto(t *testing.T) {
	r := resolver(t, moto.Start(t))
	cfg, err := r.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const doc = `{"gitlab":{"token":"` + hidden + `"}}`
	for name, value := range map[string]string{"/ci/plain": hidden, "/ci/json": doc} {
		_, err := ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String(name), Value: aws.String(value), Type: types.ParameterTypeSecureString,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	manager := secretsmanager.NewFromConfig(cfg)
	created, err := manager.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("ci/json"), SecretString: aws.String(doc),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = manager.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("ci/binary"), SecretBinary: []byte(hidden),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{
		"ssm:/ci/plain", "ssm:/ci/json#gitlab.token", "ssm:/ci/plain:1",
		"secretsmanager:ci/json#gitlab.token", "secretsmanager:" + *created.ARN + "#gitlab.token", "secretsmanager:ci/binary",
	} {
		if got, err := r.Resolve(t.Context(), ref); err != nil || got.Reveal() != hidden {
			t.Errorf("%s: got %v, %v", ref, got, err)
		}
	}
	for _, ref := range []string{"ssm:/ci/missing", "secretsmanager:missing"} {
		_, err := r.Resolve(t.Context(), ref)
		expect(t, err, fleet.NotFound)
	}
}
