package app

import (
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"mailwhy/cmd/internal/config"
	"mailwhy/engine/mimecast"
	"mailwhy/engine/publish"
)

// credentials are the keys of an API application as their file has them. Each
// can stand in the environment instead, as MAILWHY_ and its name in capitals.
type credentials struct {
	ClientID     string `yaml:"client_id"`
	ClientSecret string `yaml:"client_secret"`
	AppID        string `yaml:"app_id"`
	AppKey       string `yaml:"app_key"`
	AccessKey    string `yaml:"access_key"`
	SecretKey    string `yaml:"secret_key"`
}

// readCredentials reads the file, which nobody but its owner may read, and then
// the environment for what it lacks.
func readCredentials(path string, env func(string) string) (mimecast.Keys, error) {
	var c credentials
	if path != "" {
		info, err := os.Stat(path)
		if err != nil {
			return mimecast.Keys{}, fmt.Errorf("read credentials: %w", err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return mimecast.Keys{}, fmt.Errorf("the credentials file %s can be read by others: chmod 600 it", path)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return mimecast.Keys{}, fmt.Errorf("read credentials: %w", err)
		}
		if yaml.Unmarshal(data, &c) != nil { // the error would quote the file
			return mimecast.Keys{}, fmt.Errorf("the credentials file %s is not a list of keys such as client_id: VALUE", path)
		}
	}
	for name, to := range map[string]*string{"CLIENT_ID": &c.ClientID, "CLIENT_SECRET": &c.ClientSecret, "APP_ID": &c.AppID, "APP_KEY": &c.AppKey, "ACCESS_KEY": &c.AccessKey, "SECRET_KEY": &c.SecretKey} {
		if *to == "" {
			*to = env("MAILWHY_" + name)
		}
	}
	return mimecast.Keys{ClientID: c.ClientID, ClientSecret: c.ClientSecret, AppID: c.AppID, AppKey: c.AppKey, AccessKey: c.AccessKey, SecretKey: c.SecretKey}, nil
}

// mimecastClient makes a client; nothing is asked yet.
func mimecastClient(url, version, credentials string) (*mimecast.Client, error) {
	keys, err := readCredentials(credentials, os.Getenv)
	if err != nil {
		return nil, err
	}
	return mimecast.New(url, version, keys, nil)
}

// MimecastAPI opens the API that a gateway of the configuration names; nothing
// is asked yet.
func MimecastAPI(c config.Gateway) (*publish.MimecastAPI, error) {
	api, err := mimecastClient(c.URL, c.API, c.Credentials)
	if err != nil {
		return nil, fmt.Errorf("gateway %s: %w", c.Name, err)
	}
	return &publish.MimecastAPI{Client: api}, nil
}

func newMimecast(c config.Gateway, data string) (publish.Publisher, error) {
	api, err := MimecastAPI(c)
	if err != nil {
		return nil, err
	}
	return publish.NewMimecast(c.Name, api, filepath.Join(data, "gateway-"+filepath.Base(c.Name)+".json")), nil
}
