
_ocpp_persister() {
    local joined=() count=0 word current found
    # bash splits --a.b=c at the "=": put it together again.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if ((count > 0)) && [[ $word == = || ${joined[count - 1]} == --*= ]]; then
            joined[count - 1]+=$word
        else
            joined[count++]=$word
        fi
    done
    current=${joined[count - 1]}
    if [[ $current == --config=* ]]; then
        current=${current#*=}
        found=@files
    else
        found=$(_ocpp_persister_words "$current" "${joined[@]:0:count-1}")
    fi
    case $found in
    *@files*)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    *@folders*)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W "$found" -- "$current")
        if [[ ${COMPREPLY[0]-} == *= ]]; then
            compopt -o nospace 2>/dev/null
        fi
        ;;
    esac
}
complete -F _ocpp_persister ocpp-persister
