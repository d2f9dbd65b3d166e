
# What may stand at the cursor, separated by blanks; @files and @folders mean those on disk.
# $1 is the word at the cursor, the others are the words before it. For bash and zsh.
_ocpp_persister_words() {
    local current="$1" command="" place="" option="" word
    shift
    for word in "$@"; do
        if [ -n "$option" ]; then # its value
            option=""
            continue
        fi
        case "$word" in
        --config) option="$word" ;;
        -*)
            if _ocpp_persister_table "value $command $word" >/dev/null; then
                option="$word"
            fi
            ;;
        *)
            command="${command:-$word}"
            place="$place $word"
            ;;
        esac
    done
    if [ "$option" = --config ]; then
        echo @files
    elif [ -n "$option" ]; then
        _ocpp_persister_table "value $command $option"
    else
        case "$current" in
        --?*)
            _ocpp_persister_table "options $command"
            _ocpp_persister_table settings
            ;;
        -*) _ocpp_persister_table "options $command" ;;
        *) _ocpp_persister_table "next$place" ;;
        esac
    fi
}
