// descent_client.hpp -- C++17 over descent_client.h: owners in place of handles, exceptions in place of codes
//
//     descent::client client;
//     auto session = client.create_session("adam", R"({"coordinates": 10})");
//     auto update = session.update(gradient);
//
// JSON goes in and out as text, so that any JSON library will do. Nothing here may be shared by threads at one time.
#ifndef DESCENT_CLIENT_HPP
#define DESCENT_CLIENT_HPP

#include "descent_client.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace descent {

// What descent_error says; decide by code().
class error : public std::runtime_error {
  public:
    explicit error(const descent_error &why)
        : std::runtime_error(std::string(why.code) + ": " + why.detail), why_(why)
    {
    }
    int status() const { return why_.status; } // HTTP; 0 when the server refused nothing
    std::string code() const { return why_.code; }
    std::string detail() const { return why_.detail; }
    std::string request_id() const { return why_.request_id; }
    bool retryable() const { return why_.retryable; }

  private:
    descent_error why_;
};

namespace detail {

struct freer {
    void operator()(void *bytes) const { std::free(bytes); }
};
template <class T> using owned = std::unique_ptr<T, freer>;

inline void check(bool ok, const descent_error &why)
{
    if (!ok)
        throw error(why);
}

// A C function that hands out text.
template <class Call> std::string text(Call call)
{
    descent_error why{};
    char *raw = nullptr;
    const bool ok = call(&raw, &why);
    const owned<char> hold(raw);

    check(ok, why);
    return raw ? raw : "";
}

// A callback that may throw, behind a C callback that may not.
template <class Function> struct guarded {
    const Function &function;
    std::exception_ptr thrown;

    template <class... Arguments> bool operator()(Arguments... arguments)
    {
        try {
            return function(arguments...);
        } catch (...) {
            thrown = std::current_exception();
            return false;
        }
    }
    // False: the callback ended it, as it may.
    void settle(bool ok, const descent_error &why) const
    {
        if (thrown)
            std::rethrow_exception(thrown);
        if (!ok && std::string(why.code) != "stopped")
            throw error(why);
    }
};

} // namespace detail

struct options {
    std::string url, key;       // empty: from the environment, see descent_client.h
    double timeout_seconds = 0; // 0: from the environment, else 60
    int attempts = 0;           // 0: 8
};

struct event {
    std::string id, kind, data_json;
};

// The server's state of one optimization. The client that made it must outlive it.
class session {
  public:
    std::string id() const { return descent_session_id(handle_.get()); }
    std::size_t coordinates() const { return descent_session_coordinates(handle_.get()); }
    std::uint64_t step() const { return descent_session_step(handle_.get()); }
    void set_step(std::uint64_t step) { descent_session_set_step(handle_.get(), step); }
    bool replayed() const { return descent_session_replayed(handle_.get()); }

    // gradient and update [coordinates]; ADD the update to the parameters. Allocates nothing.
    void update(const float *gradient, float *update, double loss = NAN)
    {
        descent_error why{};
        detail::check(descent_session_update(handle_.get(), gradient, loss, update, &why), why);
    }
    std::vector<float> update(const std::vector<float> &gradient, double loss = NAN)
    {
        if (gradient.size() != coordinates())
            throw std::invalid_argument("the gradient has " + std::to_string(gradient.size()) + " numbers, the session " +
                                        std::to_string(coordinates()) + " coordinates");
        std::vector<float> out(gradient.size());
        update(gradient.data(), out.data(), loss);
        return out;
    }

    std::string info() const
    {
        return detail::text([&](char **out, descent_error *why) { return descent_session_info(handle_.get(), out, why); });
    }
    void reset() { run(descent_session_reset); }
    void remove() { run(descent_session_delete); } // on the server
    void checkpoint(const std::string &name) { run(descent_session_checkpoint, name.c_str()); }
    void delete_checkpoint(const std::string &name) { run(descent_session_delete_checkpoint, name.c_str()); }
    void restore(const std::string &checkpoint) { run(descent_session_restore, checkpoint.c_str()); }

    // The same state, or that of a checkpoint when its name is not empty, in a new session.
    session fork(const std::string &checkpoint = {}) const
    {
        descent_error why{};
        return session(descent_session_fork(handle_.get(), checkpoint.empty() ? nullptr : checkpoint.c_str(), &why), why);
    }

    std::vector<std::uint8_t> state() const
    {
        descent_error why{};
        void *raw = nullptr;
        std::size_t len = 0;
        const bool ok = descent_session_state(handle_.get(), &raw, &len, &why);
        const detail::owned<std::uint8_t> bytes(static_cast<std::uint8_t *>(raw));
        detail::check(ok, why);
        return {bytes.get(), bytes.get() + len};
    }
    void load_state(const std::vector<std::uint8_t> &state)
    {
        run(descent_session_load_state, static_cast<const void *>(state.data()), state.size());
    }

  private:
    friend class client;
    struct closer {
        void operator()(descent_session *handle) const { descent_session_free(handle); }
    };

    session(descent_session *handle, const descent_error &why) : handle_(handle) { detail::check(handle, why); }

    template <class Call, class... Arguments> void run(Call call, Arguments... arguments)
    {
        descent_error why{};
        detail::check(call(handle_.get(), arguments..., &why), why);
    }

    std::unique_ptr<descent_session, closer> handle_;
};

class client {
  public:
    explicit client(const options &given = {})
    {
        descent_error why{};
        const descent_options plain = {given.url.empty() ? nullptr : given.url.c_str(),
                                       given.key.empty() ? nullptr : given.key.c_str(), given.timeout_seconds,
                                       given.attempts};
        handle_.reset(descent_client_new(&plain, &why));
        detail::check(handle_ != nullptr, why);
    }

    session create_session(const std::string &optimizer, const std::string &settings_json)
    {
        descent_error why{};
        return session(descent_session_create(handle_.get(), optimizer.c_str(), settings_json.c_str(), &why), why);
    }
    session resume_session(const std::string &id)
    {
        descent_error why{};
        return session(descent_session_resume(handle_.get(), id.c_str(), &why), why);
    }

    // config_json may be empty: the family's defaults. Returns what the server says of the optimizer.
    std::string create_optimizer(const std::string &name, const std::string &family, const std::string &config_json = {})
    {
        const char *const config = config_json.empty() ? nullptr : config_json.c_str();
        return detail::text([&](char **out, descent_error *why) {
            return descent_optimizer_create(handle_.get(), name.c_str(), family.c_str(), config, out, why);
        });
    }
    std::int64_t upload(const std::string &name, const std::vector<std::uint8_t> &weights)
    {
        descent_error why{};
        std::int64_t version = 0;
        detail::check(descent_optimizer_upload(handle_.get(), name.c_str(), weights.data(), weights.size(), &version, &why),
                      why);
        return version;
    }
    std::vector<std::uint8_t> download(const std::string &name, std::int64_t version)
    {
        descent_error why{};
        void *raw = nullptr;
        std::size_t len = 0;
        const bool ok = descent_optimizer_download(handle_.get(), name.c_str(), version, &raw, &len, &why);
        const detail::owned<std::uint8_t> bytes(static_cast<std::uint8_t *>(raw));
        detail::check(ok, why);
        return {bytes.get(), bytes.get() + len};
    }

    // The items of a list ("/v1/optimizers", ...), until the callback returns false.
    void list(const std::string &path, const std::function<bool(const std::string &item_json)> &item)
    {
        using function = std::function<bool(const std::string &)>;
        detail::guarded<function> guard{item, nullptr};
        descent_error why{};
        const bool ok = descent_list(
            handle_.get(), path.c_str(),
            [](void *user, const char *json) { return (*static_cast<detail::guarded<function> *>(user))(std::string(json)); },
            &guard, &why);
        guard.settle(ok, why);
    }

    // Any request with JSON both ways.
    std::string call(const std::string &method, const std::string &path, const std::string &body_json = {},
                     bool creates = false)
    {
        const char *const body = body_json.empty() ? nullptr : body_json.c_str();
        return detail::text([&](char **out, descent_error *why) {
            return descent_call(handle_.get(), method.c_str(), path.c_str(), body, creates, out, why);
        });
    }

    std::string submit_job(const std::string &spec_json)
    {
        return detail::text([&](char **out, descent_error *why) {
            return descent_job_submit(handle_.get(), spec_json.c_str(), out, why);
        });
    }
    // Every event as it happens, until the job is done or the callback returns false.
    void job_events(const std::string &job, const std::function<bool(const event &)> &on_event, const std::string &after = {})
    {
        using function = std::function<bool(const event &)>;
        detail::guarded<function> guard{on_event, nullptr};
        descent_error why{};
        const bool ok = descent_job_events(
            handle_.get(), job.c_str(), after.empty() ? nullptr : after.c_str(),
            [](void *user, const char *id, const char *kind, const char *data) {
                return (*static_cast<detail::guarded<function> *>(user))(event{id, kind, data});
            },
            &guard, &why);
        guard.settle(ok, why);
    }
    // Follow a job to its end; its result.
    std::string wait_job(const std::string &job)
    {
        return detail::text(
            [&](char **out, descent_error *why) { return descent_job_wait(handle_.get(), job.c_str(), out, why); });
    }

  private:
    struct closer {
        void operator()(descent_client *handle) const { descent_client_free(handle); }
    };
    std::unique_ptr<descent_client, closer> handle_;
};

} // namespace descent

#endif
