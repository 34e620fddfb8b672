#include "tools/monitor/full_screen.hpp"

#include "tools/monitor/history.hpp"
#include "tools/monitor/screen.hpp"
#include "tools/monitor/terminal.hpp"

namespace ipc::tools::monitor {

bool show_full_screen(Source& source, const Signals& signals, const FullScreenOptions& options) {
    const auto terminal = Terminal::open(options.colours);
    if (!terminal) return false;
    History history;
    View view = options.view;
    if (options.ascii || !terminal->speaks_unicode()) view.charset = Charset::ascii;
    while (true) {
        const auto due = view.paused ? std::nullopt : source.due();
        if (due && *due <= Source::Clock::now()) source.next(history);
        terminal->draw(draw(history, view, source.pace(), terminal->size()));

        const std::vector<Key> keys = terminal->wait(view.paused ? std::nullopt : source.due());
        signals.check();
        for (const Key& key : keys) {
            switch (handle(view, key, history, terminal->size())) {
                case Request::quit: return true;
                case Request::faster: source.faster(); break;
                case Request::slower: source.slower(); break;
                case Request::nothing: break;
            }
        }
    }
}

}  // namespace ipc::tools::monitor
