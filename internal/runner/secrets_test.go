package runner

import (
	"slices"
	"testing"
)

func TestTemplateSecrets(t *testing.T) {
	const section = "[[runners]]\nexecutor = 'docker'\n"
	tests := []struct {
		name, template string
		want           []string
	}{
		{"no template", "", nil},
		{"none", section + "environment = ['A=1', 'TOKEN=', 'TOKEN']\n[runners.cache.s3]\nBucketName = 'b'\nSecretKey = ''\n", nil},
		{"a cache's", section + "[runners.cache.s3]\nAccessKey = 'a'\nSecretKey = 'b'\n[runners.cache.azure]\nAccountKey = 'c'\n", []string{"runners.cache.azure.AccountKey", "runners.cache.s3.SecretKey"}},
		{"twice", section + "ssh.password = 'a'\n" + section + "ssh.password = 'b'\n", []string{"runners.ssh.password"}},
		{"in a variable", section + "environment = ['DOCKER_AUTH_CONFIG={}', 'API_TOKEN=x']\n", []string{"runners.environment.API_TOKEN", "runners.environment.DOCKER_AUTH_CONFIG"}},
		{"in an option", section + "[runners.machine]\nMachineOptions = ['amazonec2-secret-key=x']\n", []string{"runners.machine.MachineOptions.amazonec2-secret-key"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := place(t, tt.template).TemplateSecrets()
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
