
_ocpp-persister() {
    local text
    local -a found
    if [[ $PREFIX == --config=* ]]; then
        compset -P '*='
        _files
        return
    fi
    text=$(_ocpp_persister_words "$PREFIX" "${(@)words[2,CURRENT-1]}")
    case $text in
    "$(_ocpp_persister_table next)")
        found=("${(@f)$(_ocpp_persister_table summaries)}")
        _describe command found
        ;;
    *@files*) _files ;;
    *@folders*) _files -/ ;;
    *)
        found=(${=text})
        compadd -- ${found:#*=}
        compadd -S '' -- ${(M)found:#*=}
        ;;
    esac
}

# Read from $fpath the file is the function; otherwise (`source`) it says what it completes.
if [[ ${funcstack[1]} == _ocpp-persister ]]; then
    _ocpp-persister "$@"
else
    compdef _ocpp-persister ocpp-persister
fi
