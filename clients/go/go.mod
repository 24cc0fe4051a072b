module github.com/descent-server/descent/clients/go

go 1.21
