#include "servers.h"

#include "bench.h"
#include "caller.h"
#include "models.h"
#include "server/safetensors.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- ours --- */

static void ask(const struct served *server, const char *path, const char *type, const void *body,
                size_t len, char *reply, size_t room)
{
    struct caller caller;
    struct request_text text;
    char header[96];

    snprintf(header, sizeof header, "Content-Type: %s\r\n", type);
    request_make(&text, "POST", path, header, body, len);
    caller_open(&caller, server->port);
    bench_need(caller_ask(&caller, &text) == 201, path);
    snprintf(reply, room, "%.*s", (int)caller.body_len, caller.body);
    caller_close(&caller);
}

void server_start(struct served *server)
{
    static const char optimizer[] = "{\"name\": \"lstm\", \"family\": \"lstm\"}";
    dsc_model *const model = model_lstm(NULL);
    struct buf *file = NULL;
    char reply[1024];

    bench_need(served_start(server), "the server does not start; is build/descent there?");
    bench_need(safetensors_export(&file, model, NULL), "no weights");
    ask(server, "/v1/optimizers", "application/json", optimizer, strlen(optimizer), reply,
        sizeof reply);
    ask(server, "/v1/optimizers/lstm/versions", "application/x-safetensors", file->data, file->len,
        reply, sizeof reply);
    buf_drop(file);
    dsc_model_drop(model);
}

void server_session(const struct served *server, const char *optimizer, size_t n,
                    const char *durability, char id[64])
{
    char body[256], reply[2048];

    snprintf(body, sizeof body,
             "{\"optimizer\": \"%s\", \"coordinates\": %zu, \"durability\": \"%s\"}", optimizer, n,
             durability);
    ask(server, "/v1/sessions", "application/json", body, strlen(body), reply, sizeof reply);
    const char *const at = strstr(reply, "ses_");
    bench_need(at != NULL, "a session without an id");
    snprintf(id, 64, "%.36s", at);
}

double process_cpu(pid_t pid)
{
    char path[300];
    double ns = 0;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *const tasks = opendir(path);
    bench_need(tasks != NULL, "no such process");
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        double of_task = 0;

        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, task->d_name);
        FILE *const file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file && fscanf(file, "%lf", &of_task) == 1)
            ns += of_task;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return ns / 1e9;
}

size_t server_resident(const struct served *server)
{
    char path[64];
    size_t pages = 0;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)server->pid);
    FILE *const file = fopen(path, "r");
    bench_need(file && fscanf(file, "%*u %zu", &pages) == 1, "no memory figures");
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* --- nginx --- */

/* A port that is free now. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_need(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                   getsockname(fd, (struct sockaddr *)&address, &len) == 0,
               "no port");
    close(fd);
    return ntohs(address.sin_port);
}

static void write_config(const struct nginx *nginx)
{
    char path[128];

    snprintf(path, sizeof path, "%s/nginx.conf", nginx->dir);
    FILE *const file = fopen(path, "w");
    bench_need(file != NULL, "nginx.conf");
    fprintf(file,
            "daemon off; master_process off; worker_processes 1; pid %s/pid; error_log /dev/null;\n"
            "events { worker_connections 8192; use epoll; }\n"
            "http { access_log off; keepalive_requests 1000000000; client_body_temp_path %s/t;\n"
            "  proxy_temp_path %s/t; fastcgi_temp_path %s/t; uwsgi_temp_path %s/t;\n"
            "  scgi_temp_path %s/t;\n"
            "  server { listen 127.0.0.1:%d; location / { return 200 \"ok\"; } } }\n",
            nginx->dir, nginx->dir, nginx->dir, nginx->dir, nginx->dir, nginx->dir, nginx->port);
    fclose(file);
}

static bool answers(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 100; i++, usleep(20000)) {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        const bool ok = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

        close(fd);
        if (ok)
            return true;
    }
    return false;
}

static void run_nginx(const struct nginx *nginx)
{
    char config[128];
    const int null = open("/dev/null", O_WRONLY);

    snprintf(config, sizeof config, "%s/nginx.conf", nginx->dir);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, STDERR_FILENO);
    execl("/usr/sbin/nginx", "nginx", "-p", nginx->dir, "-c", config, (char *)NULL);
    _exit(127);
}

bool nginx_start(struct nginx *nginx)
{
    if (access("/usr/sbin/nginx", X_OK) != 0)
        return false;
    strcpy(nginx->dir, "/tmp/descent-nginx-XXXXXX");
    bench_need(mkdtemp(nginx->dir) != NULL, "no folder");
    nginx->port = free_port();
    write_config(nginx);
    nginx->pid = fork();
    if (nginx->pid == 0)
        run_nginx(nginx);
    if (nginx->pid > 0 && answers(nginx->port))
        return true;
    nginx_stop(nginx);
    return false;
}

void nginx_stop(struct nginx *nginx)
{
    char command[128];

    if (nginx->pid > 0) {
        kill(nginx->pid, SIGTERM);
        waitpid(nginx->pid, NULL, 0);
    }
    snprintf(command, sizeof command, "rm -rf %s", nginx->dir);
    if (system(command) != 0)
        fprintf(stderr, "bench: %s stays\n", nginx->dir);
}
