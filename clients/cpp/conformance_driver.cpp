// The conformance driver of the C++ client: JSON commands in, JSON answers out (see ../conformance/README.md).

#include "descent_client.hpp"

#include <algorithm>
#include <cstring>
#include <iostream>
#include <jansson.h>
#include <map>
#include <optional>
#include <sodium.h>

namespace {

// A counted json_t.
struct json {
    struct release {
        void operator()(json_t *value) const { json_decref(value); }
    };
    std::unique_ptr<json_t, release> value;

    explicit json(json_t *owned) : value(owned) {}
    static json parse(const std::string &text) { return json(json_loads(text.c_str(), JSON_DECODE_ANY, nullptr)); }
    static json member(const json_t *object, const char *name) { return json(json_incref(json_object_get(object, name))); }
    std::string dump() const
    {
        const std::unique_ptr<char, descent::detail::freer> text(json_dumps(value.get(), JSON_COMPACT | JSON_ENCODE_ANY));
        return text ? text.get() : "";
    }
    std::string text(const char *name) const
    {
        const char *const found = json_string_value(json_object_get(value.get(), name));
        return found ? found : "";
    }
    json_int_t number(const char *name) const { return json_integer_value(json_object_get(value.get(), name)); }
};

class driver {
  public:
    std::string obey(const json &command)
    {
        try {
            return operations.at(command.text("op"))(*this, command).dump();
        } catch (const descent::error &refused) {
            return json(json_pack("{s:s, s:i}", "error", refused.code().c_str(), "status", refused.status())).dump();
        }
    }

  private:
    using operation = json (*)(driver &, const json &);

    json at() const
    {
        return json(json_pack("{s:s, s:I, s:I}", "session", session->id().c_str(), "step", json_int_t(session->step()),
                              "coordinates", json_int_t(session->coordinates())));
    }

    static json create(driver &d, const json &c)
    {
        const json settings = json::member(c.value.get(), "settings");
        const std::string optimizer = settings.text("optimizer");
        json_object_del(settings.value.get(), "optimizer");
        d.session = d.client.create_session(optimizer, settings.dump());
        return d.at();
    }

    static json update(driver &d, const json &c)
    {
        const json_t *const given = json_object_get(c.value.get(), "gradient");
        const json_t *const loss = json_object_get(c.value.get(), "loss");
        std::vector<float> gradient(json_array_size(given));
        for (std::size_t i = 0; i < gradient.size(); i++) {
            const auto bits = std::uint32_t(std::stoul(json_string_value(json_array_get(given, i)), nullptr, 16));
            std::memcpy(&gradient[i], &bits, sizeof bits);
        }
        if (json_object_get(c.value.get(), "step"))
            d.session->set_step(std::uint64_t(c.number("step")));
        const auto update = d.session->update(gradient, loss ? json_number_value(loss) : NAN);
        json_t *const words = json_array();
        for (const float value : update) {
            std::uint32_t bits;
            char word[9];
            std::memcpy(&bits, &value, sizeof bits);
            std::snprintf(word, sizeof word, "%08x", unsigned(bits));
            json_array_append_new(words, json_string(word));
        }
        return json(json_pack("{s:o, s:I, s:b}", "update", words, "step", json_int_t(d.session->step()), "replayed",
                              int(d.session->replayed())));
    }

    static json create_optimizer(driver &d, const json &c)
    {
        const json config = json::member(c.value.get(), "config");
        return json::parse(
            d.client.create_optimizer(c.text("name"), c.text("family"), config.value ? config.dump() : std::string()));
    }

    static json optimizers(driver &d, const json &)
    {
        std::vector<std::string> names;
        d.client.list("/v1/optimizers", [&](const std::string &item) {
            names.push_back(json::parse(item).text("name"));
            return true;
        });
        std::sort(names.begin(), names.end());
        json_t *const list = json_array();
        for (const auto &name : names)
            json_array_append_new(list, json_string(name.c_str()));
        return json(json_pack("{s:o}", "names", list));
    }

    static json upload(driver &d, const json &c)
    {
        const std::string base64 = c.text("file");
        std::vector<std::uint8_t> file(base64.size());
        std::size_t len = 0;
        if (sodium_base642bin(file.data(), file.size(), base64.data(), base64.size(), nullptr, &len, nullptr,
                              sodium_base64_VARIANT_ORIGINAL) != 0)
            throw std::invalid_argument("the file is no base64");
        file.resize(len);
        return json(json_pack("{s:I}", "version", json_int_t(d.client.upload(c.text("name"), file))));
    }

    static json download(driver &d, const json &c)
    {
        const auto file = d.client.download(c.text("name"), c.number("version"));
        unsigned char hash[crypto_hash_sha256_BYTES];
        char text[2 * sizeof hash + 1];
        crypto_hash_sha256(hash, file.data(), file.size());
        return json(json_pack("{s:s}", "sha256", sodium_bin2hex(text, sizeof text, hash, sizeof hash)));
    }

    static json run_job(driver &d, const json &c)
    {
        const std::string id = d.client.submit_job(json::member(c.value.get(), "spec").dump());
        std::vector<std::string> kinds;
        d.client.job_events(id, [&](const descent::event &event) {
            kinds.push_back(event.kind);
            return true;
        });
        json info = json::parse(d.client.call("GET", "/v1/jobs/" + id));
        json_object_set_new(info.value.get(), "first", json_string(kinds.front().c_str()));
        json_object_set_new(info.value.get(), "last", json_string(kinds.back().c_str()));
        return info;
    }

    static json resume(driver &d, const json &) { return d.session = d.client.resume_session(d.session->id()), d.at(); }
    static json reset(driver &d, const json &) { return d.session->reset(), d.at(); }
    static json checkpoint(driver &d, const json &c) { return d.session->checkpoint(c.text("name")), json(json_object()); }
    static json restore(driver &d, const json &c) { return d.session->restore(c.text("checkpoint")), d.at(); }
    static json fork(driver &d, const json &c) { return d.session = d.session->fork(c.text("checkpoint")), d.at(); }
    static json remove(driver &d, const json &) { return d.session->remove(), json(json_object()); }

    const std::map<std::string, operation> operations = {
        {"create", create},   {"resume", resume},         {"update", update},
        {"reset", reset},     {"checkpoint", checkpoint}, {"restore", restore},
        {"fork", fork},       {"delete", remove},         {"create_optimizer", create_optimizer},
        {"run_job", run_job}, {"optimizers", optimizers}, {"upload", upload},
        {"download", download},
    };
    descent::client client;
    std::optional<descent::session> session;
};

} // namespace

int main()
{
    driver driver;
    std::string line;

    while (std::getline(std::cin, line))
        std::cout << driver.obey(json::parse(line)) << std::endl;
}
